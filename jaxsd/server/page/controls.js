// What ControlNets are shown: hints, each a scribble or a picture, with the net that looks at it.

import { at, button, labelled, made, number, says, trying } from "./elements.js";
import { Painting } from "./painting.js";
import { canvasOf, chosenFile, pngOf } from "./pictures.js";
import { t } from "./texts.js";

const SIDE = 512; // pixels of the longer side of a scribble's sheet
const LINE = 0.02; // of the brush, of the sheet's shorter side
const SHARE = { min: 0, max: 1, step: 0.05 };
let hints = [];
let names = []; // of the model's ControlNets
let size = [SIDE, SIDE]; // of the picture that is to be drawn

class Hint {
  constructor({ model, weight = 1, first = 0, last = 1 } = {}) {
    this.picture = null; // a canvas, in place of the scribble
    this.painting = new Painting("scribble", "#000", LINE);
    this.model = made("select", { className: "control-model" });
    this.weight = number(weight, { min: 0, max: 2, step: 0.05 });
    this.first = number(first, SHARE);
    this.last = number(last, SHARE);
    this.shown = made("div", { className: "hint-picture" });
    this.title = made("legend");
    const pick = trying(async () => {
      const file = await chosenFile();
      if (file) this.take(await canvasOf(file));
    });
    this.redraw = button("hint.draw", () => this.take(null));
    this.remove = button("hint.remove", () => put(hints.filter((one) => one !== this)));
    this.box = made(
      "fieldset",
      { className: "hint-box" },
      this.title,
      made("p", { className: "actions" }, button("choose.picture", pick), this.redraw, this.remove),
      this.shown,
      this.painting.box,
      made(
        "div",
        { className: "row two" },
        labelled("control.model", this.model),
        labelled("control.weight", this.weight),
        labelled("control.first", this.first),
        labelled("control.last", this.last),
      ),
    );
    this.offer(model);
    this.begin();
    this.show();
  }

  // The nets that can look at it, and which one does.
  offer(name = this.model.value) {
    this.model.replaceChildren(...names.map((one) => made("option", { value: one }, one)));
    if (names.includes(name)) this.model.value = name;
  }

  // An empty sheet of the proportions of the picture, unless something is drawn already.
  begin() {
    if (!this.painting.empty) return;
    const scale = SIDE / Math.max(...size);
    this.painting.begin(...size.map((side) => Math.round(side * scale)));
  }

  // Takes a picture, or none, so that a scribble is drawn.
  take(canvas) {
    this.picture = canvas;
    this.show();
    see();
  }

  show() {
    this.shown.replaceChildren(...(this.picture ? [this.picture] : []));
    this.painting.box.hidden = Boolean(this.picture);
    this.redraw.hidden = !this.picture;
  }

  // One of the option `control`. Throws where nothing is drawn.
  value(i) {
    if (!this.picture && this.painting.empty) throw new Error(t("error.hint", { number: i + 1 }));
    const { model, weight, first, last } = this;
    return {
      image: this.picture ? pngOf(this.picture) : this.painting.png("#fff", "#000"),
      model: model.value,
      weight: Number(weight.value),
      first: Number(first.value),
      last: Number(last.value),
    };
  }
}

export function makeControls() {
  at("control").append(
    says("p", "scribble.hint", { className: "hint" }),
    made("div", { id: "hints" }),
    made("p", { className: "actions" }, button("hint.add", add, { id: "add-hint" })),
    says("p", "hint.mixed", { className: "hint", id: "hint-mixed" }),
  );
  addEventListener("languagechanged", entitle);
  put([new Hint()]);
}

function add() {
  put([...hints, new Hint()]);
  hints.at(-1).box.scrollIntoView({ block: "nearest" });
}

function put(some) {
  hints = some;
  at("hints").replaceChildren(...hints.map(({ box }) => box));
  entitle();
  see();
}

function entitle() {
  hints.forEach((one, i) => {
    one.title.textContent = t("hint.title", { number: i + 1 });
    one.remove.hidden = hints.length === 1;
  });
}

// How hints are seen, which is the same for all: scribbles are white lines on black already.
function see() {
  const pictures = hints.filter(({ picture }) => picture).length;
  const mixed = pictures > 0 && pictures < hints.length;
  at("ask").elements.preprocessor.value = mixed ? "as_given" : pictures ? "canny" : "scribble";
  at("hint-mixed").hidden = !mixed;
}

// Takes a picture for the hint that an element is in, or else for the last one.
export function takeHint(canvas, element) {
  (hints.find(({ box }) => box.contains(element)) ?? hints.at(-1)).take(canvas);
}

export function offerControls(found) {
  names = found;
  for (const one of hints) one.offer();
}

// Makes sheets of the proportions of a size, where nothing is drawn yet.
export function beginScribbles(wanted) {
  size = wanted;
  for (const one of hints) one.begin();
}

// Hints of settings, IMAGE:MODEL[:WEIGHT[:FROM:TO]], but for their pictures, which are only named.
export function fillControls(controls) {
  const { preprocessor } = at("ask").elements;
  const seen = preprocessor.value;
  const parts = controls.map((one) => one.split(":"));
  put(parts.map(([, model, weight, first, last]) => new Hint({ model, weight, first, last })));
  preprocessor.value = seen;
}

export const controlValues = () => ({ control: hints.map((one, i) => one.value(i)) });
