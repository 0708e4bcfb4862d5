// What a ControlNet is shown: a scribble, or the lines of a picture.

import { at, button, labelled, made, number, says, trying } from "./elements.js";
import { Painting } from "./painting.js";
import { canvasOf, chosenFile, pngOf } from "./pictures.js";
import { t } from "./texts.js";

const SIDE = 512; // pixels of the longer side of a scribble's sheet
const LINE = 2; // of the brush, in hundredths of the sheet
let painting, model, weight, shown;
let picture = null; // a canvas, in place of the scribble

export function makeScribble() {
  painting = new Painting("scribble", "#000");
  painting.size.value = LINE;
  model = made("select", { id: "control-model" });
  weight = number(1, { min: 0, max: 2, step: 0.05 });
  shown = made("div", { className: "hint-picture" });
  const pick = trying(async () => {
    const file = await chosenFile();
    if (file) setHint(await canvasOf(file));
  });
  at("control").append(
    says("p", "scribble.hint", { className: "hint" }),
    made(
      "p",
      { className: "actions" },
      button("choose.picture", pick, { id: "choose-hint" }),
      button("remove", () => setHint(null), { id: "remove-hint" }),
    ),
    shown,
    painting.box,
    made(
      "div",
      { className: "row" },
      labelled("control.model", model),
      labelled("control.weight", weight),
    ),
  );
  setHint(null);
}

// Takes a picture, of which the lines count, or none.
export function setHint(canvas) {
  picture = canvas;
  shown.replaceChildren(...(canvas ? [canvas] : []));
  painting.box.hidden = Boolean(canvas);
  at("remove-hint").hidden = !canvas;
  at("ask").elements.preprocessor.value = canvas ? "canny" : "scribble";
}

// An empty sheet of the proportions of a size, unless something is drawn already.
export function beginScribble(size) {
  if (!painting.empty) return;
  const scale = SIDE / Math.max(...size);
  painting.begin(...size.map((side) => Math.round(side * scale)));
}

export function offerControls(names) {
  model.replaceChildren(...names.map((one) => made("option", { value: one }, one)));
}

// The option `control`. Throws where nothing is drawn.
export function controlValues() {
  if (!picture && painting.empty) throw new Error(t("error.scribble"));
  const image = picture ? pngOf(picture) : painting.png("#000", "#fff");
  return { control: [{ image, model: model.value, weight: Number(weight.value) }] };
}
