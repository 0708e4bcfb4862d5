// The editor: templates, a canvas with tools, layers, and what becomes of the picture.

import { at, button, choices, chosen, labelled, made, number, says, trying } from "./elements.js";
import { Inspector } from "./inspector.js";
import * as layers from "./layers.js";
import { canvasOf, chosenFile, download } from "./pictures.js";
import { Studio } from "./studio.js";
import { PALETTES, TEMPLATES } from "./templates.js";
import { t } from "./texts.js";
import { Tools } from "./tools.js";

const THUMB = 120; // pixels of a template's picture
const TOOLS = ["move", "crop", "brush", "eraser"];
const SIDES = ["x", "y", "width", "height"];
const studio = new Studio();
let canvas, tools, palette, toolBar, cropBar, brushBar;

export function makeEditor(useAsStart) {
  const data = { label: "editor.canvas" };
  canvas = made("canvas", { id: "canvas", tabIndex: 0, role: "img", data });
  tools = new Tools(studio, canvas);
  const inspector = new Inspector(studio, replacePicture);
  const stage = made("section", { className: "stage" }, ...bars(useAsStart), canvas);
  stage.append(says("p", "editor.hint", { className: "hint" }));
  const side = made("aside", { className: "panel" }, templates(), inspector.box);
  at("editor-view").append(stage, side);
  studio.addEventListener("change", paint);
  canvas.onfocus = canvas.onblur = paint;
  at("editor-view").addEventListener("keydown", shortcuts);
  addEventListener("resize", paint);
  addEventListener("languagechanged", () => {
    canvas.ariaLabel = t("editor.canvas");
    paint();
  });
  paint();
}

// --- Bars -------------------------------------------------------------------------------------

function bars(useAsStart) {
  const names = Object.fromEntries(TOOLS.map((name) => [name, `tool.${name}`]));
  toolBar = choices(names, "move", chooseTool);
  const { document: empty } = studio;
  const whole = (act) => () => studio.take(act(studio.document));
  const thrice = (document) => [1, 2, 3].reduce(layers.turned, document);
  return [
    made(
      "div",
      { className: "bar" },
      toolBar,
      button("add.text", addText),
      button("add.picture", addPicture),
      button("add.background", addBackground),
    ),
    made(
      "div",
      { className: "bar" },
      button("undo", () => studio.undo(), { id: "undo" }),
      button("redo", () => studio.redo(), { id: "redo" }),
      button("turn.left", whole(thrice)),
      button("turn.right", whole(layers.turned)),
      button("flip.across", whole((document) => layers.flipped(document, true))),
      button("flip.down", whole((document) => layers.flipped(document, false))),
      button("clear", () => studio.take(empty)),
    ),
    makeBrushBar(),
    makeCropBar(),
    made(
      "div",
      { className: "bar" },
      button("export", () => download(layers.flattened(studio.document), "picture.png"), {
        className: "main",
      }),
      button("use.start", () => useAsStart(layers.flattened(studio.document))),
    ),
  ];
}

function makeBrushBar() {
  const size = number(tools.brush.size, { min: 1, max: 600 });
  const colour = made("input", { type: "color", value: tools.brush.colour, id: "brush-colour" });
  size.oninput = () => (tools.brush.size = Number(size.value) || 1);
  colour.oninput = () => (tools.brush.colour = colour.value);
  brushBar = made(
    "div",
    { className: "bar" },
    labelled("brush.size", size),
    labelled("layer.colour", colour),
  );
  return brushBar;
}

function makeCropBar() {
  const inputs = SIDES.map((name, i) => {
    const input = number(0, { min: i < 2 ? 0 : 1, max: 8000 });
    input.oninput = () => {
      tools.crop = tools.crop.with(i, Number(input.value) || 0);
      studio.tell();
    };
    return input;
  });
  const crop = () => {
    const { crop: box } = tools;
    chooseTool("move");
    studio.take(layers.cropped(studio.document, box));
  };
  const fields = SIDES.map((name, i) => labelled(`layer.${name}`, inputs[i]));
  cropBar = made("div", { className: "bar" }, ...fields, button("crop.apply", crop));
  studio.addEventListener("change", () => {
    for (const [i, input] of inputs.entries()) {
      if (tools.crop && input !== document.activeElement) input.value = tools.crop[i];
    }
  });
  return cropBar;
}

function chooseTool(name) {
  toolBar.press(name);
  tools.choose(name);
}

function shortcuts(event) {
  const undoes = event.key.toLowerCase() === "z" && (event.ctrlKey || event.metaKey);
  const typing = event.target.matches("input:not([type=range]):not([type=checkbox]), textarea");
  if (undoes && !typing) event.shiftKey ? studio.redo() : studio.undo();
  else if (event.key === "y" && event.ctrlKey && !typing) studio.redo();
  else if (event.key === "Escape") chooseTool("move");
  else return;
  event.preventDefault();
}

// --- Layers -----------------------------------------------------------------------------------

function addText() {
  const { width, height } = studio.document;
  chooseTool("move");
  studio.add(layers.text(t("template.hello"), width / 2, height / 2, Math.min(width, height) / 8));
}

function addBackground() {
  const added = layers.background("gradient", PALETTES[palette.value].slice(0, 2));
  studio.selected = added.id;
  studio.layers([added, ...studio.document.layers]);
}

const addPicture = trying(async () => {
  const file = await chosenFile();
  if (file) openInEditor(await canvasOf(file));
});

const replacePicture = trying(async () => {
  const file = await chosenFile();
  if (file) studio.set({ source: await canvasOf(file) });
});

// Puts a picture into an empty place, the selected one first, or else on top of all layers. In an
// empty document it becomes the whole.
export function openInEditor(source) {
  const { document } = studio;
  const empty = (layer) => layer?.kind === "picture" && !layer.source;
  const place = [studio.layer, ...document.layers].find(empty);
  chooseTool("move");
  if (place) {
    studio.selected = place.id;
    return studio.set({ source });
  }
  const { width, height } = document.layers.length ? document : source;
  const scale = Math.min(1, (0.6 * width) / source.width, (0.6 * height) / source.height);
  const share = document.layers.length ? scale : 1;
  const size = [source.width * share, source.height * share];
  const added = layers.picture(source, width / 2, height / 2, ...size);
  studio.selected = added.id;
  studio.take({ width, height, layers: [...document.layers, added] });
}

// --- Templates --------------------------------------------------------------------------------

function templates() {
  const names = Object.keys(PALETTES).map((name) => [name, `palette.${name}`]);
  palette = chosen(Object.fromEntries(names), "sea");
  const cards = Object.entries(TEMPLATES).map(([name, template]) => {
    const thumb = made("canvas", { width: THUMB, height: THUMB, ariaHidden: "true" });
    const card = made("button", { type: "button", className: "template" }, thumb);
    card.append(says("span", `template.${name}`));
    card.onclick = () => begin(template(PALETTES[palette.value]));
    return { template, thumb, card };
  });
  const drawn = () => {
    for (const { template, thumb } of cards) drawThumb(thumb, template(PALETTES[palette.value]));
  };
  palette.onchange = drawn;
  addEventListener("languagechanged", drawn);
  drawn();
  const all = made("div", { className: "templates" }, ...cards.map(({ card }) => card));
  return made("div", {}, says("h2", "templates"), labelled("palette", palette), all);
}

function begin(document) {
  chooseTool("move");
  studio.selected = null;
  studio.take(document);
}

function drawThumb(thumb, document) {
  const pen = thumb.getContext("2d");
  const scale = THUMB / Math.max(document.width, document.height);
  pen.reset();
  pen.translate((THUMB - document.width * scale) / 2, (THUMB - document.height * scale) / 2);
  pen.scale(scale, scale);
  pen.rect(0, 0, document.width, document.height);
  pen.clip();
  layers.draw(pen, document, " ");
}

// --- What is seen -----------------------------------------------------------------------------

function paint() {
  const { document: drawn } = studio;
  if (canvas.width !== drawn.width) canvas.width = drawn.width;
  if (canvas.height !== drawn.height) canvas.height = drawn.height;
  const pen = canvas.getContext("2d");
  layers.draw(pen, drawn, t("place"));
  tools.show(pen, document.activeElement === canvas);
  at("undo").disabled = !studio.past.length;
  at("redo").disabled = !studio.future.length;
  brushBar.hidden = !["brush", "eraser"].includes(tools.name);
  cropBar.hidden = tools.name !== "crop";
}
