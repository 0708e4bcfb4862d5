// What is drawn from: a text alone, a picture, a mask painted over it, its sides, hints for
// ControlNets; or a video.

import * as controls from "./controls.js";
import { at, button, choices, labelled, made, number, says, trying } from "./elements.js";
import { Painting } from "./painting.js";
import { canvasOf, chosenFile, pngOf, sheet } from "./pictures.js";
import { t } from "./texts.js";
import { makeVideos, NOT_OF_VIDEOS } from "./videos.js";

// Task -> the options of its panel, by their names in the schema.
const TASKS = {
  text: [],
  image: ["strength"],
  inpaint: ["strength", "mask_blur", "only_masked", "differential", "composite"],
  outpaint: ["mask_blur"],
  control: ["preprocessor", "control_mode"],
  video: [],
};
const SIDES = ["left", "top", "right", "bottom"];
const MASK = "#ff00d0"; // seen on most pictures
const BRUSH = 0.08; // of the picture's shorter side

export const OPTIONS = [...new Set(Object.values(TASKS).flat())];
let task = "text";
let picture = null; // a canvas
let modelSize = 512;
let mask, tabs, about;
const sides = {};

// The panels, for what a model offers.
export function makeTasks() {
  const names = Object.keys(TASKS).map((name) => [name, `task.${name}`]);
  tabs = choices(Object.fromEntries(names), "text", choose);
  about = made("p", { className: "hint", id: "about-task" });
  at("tasks").append(tabs, about);
  addEventListener("languagechanged", () => (about.textContent = t(`about.${task}`)));
  makeStart();
  controls.makeControls();
  makeVideos();
  choose("text");
}

function makeStart() {
  mask = new Painting("mask", MASK, BRUSH);
  const grown = SIDES.map((side) => {
    sides[side] = number(0, { min: 0, max: 4096, step: 8 });
    sides[side].oninput = showPicture;
    return labelled(`side.${side}`, sides[side]);
  });
  const pick = trying(async () => {
    const file = await chosenFile();
    if (file) setPicture(await canvasOf(file));
  });
  at("start").append(
    made(
      "p",
      { className: "actions" },
      button("choose.picture", pick, { id: "choose-picture" }),
      button("remove", () => setPicture(null), { id: "remove-picture" }),
    ),
    says("p", "start.hint", { className: "hint", id: "start-hint" }),
    made("canvas", { id: "start-picture", role: "img", data: { label: "start" } }),
    mask.box,
    made("div", { className: "row", id: "sides" }, ...grown),
  );
}

// Shows the ControlNets of a model; without any, there are no hints.
export function offer(model) {
  modelSize = model.size;
  controls.offerControls(model.controls);
  const own = tab("control");
  own.disabled = !model.controls.length;
  own.title = own.disabled ? t("control.none") : "";
  if (own.disabled && task === "control") choose("text");
}

const tab = (name) => tabs.querySelector(`[data-value=${name}]`);

export function choose(name) {
  task = name;
  tabs.press(name);
  about.textContent = t(`about.${name}`);
  at("start").hidden = !["image", "inpaint", "outpaint"].includes(name);
  at("control").hidden = name !== "control";
  at("video").hidden = name !== "video";
  at("grid").hidden = name === "video";
  at("sides").hidden = name !== "outpaint";
  for (const one of OPTIONS) {
    at("ask").elements[one].closest("label").hidden = !TASKS[name].includes(one);
  }
  for (const one of NOT_OF_VIDEOS) {
    at("ask").elements[one].closest("label").hidden = name === "video";
  }
  at("task-options").hidden = !TASKS[name].length;
  if (name === "control") controls.beginScribbles(textSize());
  showPicture();
}

const askedSize = () => ["width", "height"].map((name) => Number(at("ask").elements[name].value));
const textSize = () => askedSize().map((side) => side || modelSize);

// The size that is drawn: as asked for, or the picture's proportions in the model's area.
function drawnSize() {
  if (askedSize().some(Boolean)) return textSize();
  const scale = modelSize / Math.sqrt(picture.width * picture.height);
  return [picture.width * scale, picture.height * scale];
}

// Takes a picture to begin from; the task becomes one that needs it.
export function setPicture(canvas) {
  picture = canvas;
  if (picture) mask.begin(picture.width, picture.height, picture);
  choose(picture && at("start").hidden ? "image" : task);
}

// The picture, with hatched sides where it is to grow.
function showPicture() {
  at("start-hint").hidden = Boolean(picture);
  at("remove-picture").hidden = !picture;
  mask.box.hidden = !picture || task !== "inpaint";
  const shown = at("start-picture");
  shown.hidden = !picture || task === "inpaint";
  if (shown.hidden) return;
  const grown = task === "outpaint";
  const [left, top, right, bottom] = grown ? grownBy() : [0, 0, 0, 0];
  const [width, height] = grown ? drawnSize() : [picture.width, picture.height];
  shown.width = left + width + right;
  shown.height = top + height + bottom;
  const pen = shown.getContext("2d");
  pen.fillStyle = hatching(pen);
  pen.fillRect(0, 0, shown.width, shown.height);
  pen.clearRect(left, top, width, height);
  pen.drawImage(picture, left, top, width, height);
}

function hatching(pen) {
  const tile = sheet(16, 16);
  const small = tile.getContext("2d");
  Object.assign(small, { strokeStyle: "#888", lineWidth: 2 });
  for (const shift of [-16, 0, 16]) {
    small.moveTo(shift, 16);
    small.lineTo(shift + 16, 0);
  }
  small.stroke();
  return pen.createPattern(tile, "repeat");
}

// Pixels on each side of the picture at the size that is drawn.
const grownBy = () => SIDES.map((side) => Number(sides[side].value) || 0);

export const isVideo = () => task === "video";

// What the task adds to the options. Throws where something is missing.
export function taskValues() {
  if (task === "control") return controls.controlValues();
  if (["text", "video"].includes(task)) return {};
  if (!picture) throw new Error(t("error.start"));
  const found = { image: pngOf(picture) };
  if (task === "inpaint") {
    if (mask.empty) throw new Error(t("error.mask"));
    found.mask = mask.png("#fff", "#000");
  }
  if (task === "outpaint") {
    found.outpaint = grownBy();
    if (!found.outpaint.some(Boolean)) throw new Error(t("error.sides"));
  }
  return found;
}

// The task of a picture with these settings; the picture and the mask it came of are not in them.
export function fillTask({ image, mask: masked, strength, control = [], outpaint = [0, 0, 0, 0] }) {
  SIDES.forEach((side, i) => (sides[side].value = outpaint[i]));
  if (control.length) controls.fillControls(control);
  if (outpaint.some(Boolean)) choose("outpaint");
  else if (masked) choose("inpaint");
  else if (control.length && !tab("control").disabled) choose("control");
  else choose(image || (strength ?? 1) < 1 ? "image" : "text");
}
