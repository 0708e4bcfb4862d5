// The editor's side: the list of layers, and the values of the selected one.

import { PATTERNS } from "./backgrounds.js";
import { button, chosen, labelled, made, number, says, slider } from "./elements.js";
import { FONTS, SHAPES } from "./layers.js";
import { t } from "./texts.js";

const FAR = { min: -8000, max: 8000 };
const PLACE = [
  ["x", FAR],
  ["y", FAR],
  ["angle", { min: -360, max: 360 }],
  ["mirrored"],
];
const named = (kind, names) => Object.fromEntries(names.map((name) => [name, `${kind}.${name}`]));
const OPACITY = ["opacity", { min: 0, max: 1, step: 0.01 }];

// Kind of a layer -> its values, each with what it may be.
const VALUES = {
  background: [["pattern", named("pattern", Object.keys(PATTERNS))], ["colours"], OPACITY],
  picture: [
    ["shape", named("shape", SHAPES)],
    ["width", { min: 1, max: 8000 }],
    ["height", { min: 1, max: 8000 }],
    ["edge", { min: 0, max: 400 }],
    ["edgeColour"],
    ...PLACE,
    OPACITY,
  ],
  text: [
    ["text"],
    ["size", { min: 4, max: 2000 }],
    ["font", named("font", Object.keys(FONTS))],
    ["colour"],
    ["bold"],
    ["align", named("align", ["left", "center", "right"])],
    ["outline", { min: 0, max: 200 }],
    ["outlineColour"],
    ...PLACE,
    OPACITY,
  ],
  paint: [...PLACE, OPACITY],
};

export class Inspector {
  // `choosePicture` is called for a picture layer that is to have another picture.
  constructor(studio, choosePicture) {
    Object.assign(this, { studio, choosePicture, shown: null, inputs: {} });
    this.list = made("ul", { className: "layers" });
    this.values = made("div", { className: "values" });
    this.box = made(
      "div",
      { className: "inspector" },
      says("h2", "layers"),
      this.list,
      this.values,
    );
    studio.addEventListener("change", () => this.show());
    addEventListener("languagechanged", () => {
      this.shown = null;
      this.show();
    });
    this.show();
  }

  show() {
    this.showList();
    const { layer } = this.studio;
    if (this.shown !== layer?.id) this.makeValues(layer);
    for (const [name, input] of Object.entries(this.inputs)) put(input, layer[name]);
  }

  showList() {
    const { studio } = this;
    const { activeElement } = document;
    const held = this.list.contains(activeElement) ? activeElement.dataset.key : null;
    const rows = studio.document.layers.toReversed().map((layer) => this.row(layer));
    this.list.replaceChildren(...rows);
    if (!rows.length) this.list.append(says("li", "layers.none", { className: "hint" }));
    if (held) this.list.querySelector(`[data-key="${held}"]`)?.focus();
  }

  row(layer) {
    const { studio } = this;
    const name = layer.kind === "text" ? layer.text.split("\n")[0] : t(`kind.${layer.kind}`);
    const data = (what) => ({ key: `${what} ${layer.id}` });
    const pick = made("button", { type: "button", className: "layer", data: data("pick") });
    pick.textContent = name || t("kind.text");
    pick.ariaPressed = String(studio.selected === layer.id);
    pick.onclick = () => studio.select(layer);
    const seen = made("input", { type: "checkbox", checked: layer.visible, data: data("see") });
    seen.ariaLabel = t("layer.visible", { name });
    seen.onchange = () => {
      const changed = (one) => (one.id === layer.id ? { ...one, visible: seen.checked } : one);
      studio.layers(studio.document.layers.map(changed));
    };
    return made("li", {}, seen, pick);
  }

  makeValues(layer) {
    const { studio } = this;
    this.shown = layer?.id;
    this.inputs = {};
    this.values.replaceChildren();
    if (!layer) return;
    const bar = made(
      "p",
      { className: "actions" },
      button("layer.up", () => studio.shift(1)),
      button("layer.down", () => studio.shift(-1)),
      button("remove", () => studio.remove(), { id: "remove-layer" }),
    );
    if (layer.kind === "picture") bar.prepend(button("choose.picture", this.choosePicture));
    const fields = VALUES[layer.kind].map(([name, range]) => this.field(layer, name, range));
    this.values.append(bar, made("div", { className: "row" }, ...fields.flat()));
  }

  field(layer, name, range) {
    if (name === "colours") return layer.colours.map((_, i) => this.colourOf(i));
    const value = layer[name];
    let input;
    if (name === "text") input = made("textarea", { rows: 2 });
    else if (name === "opacity") input = slider(value, range);
    else if (typeof value === "boolean") input = made("input", { type: "checkbox" });
    else if (typeof value === "number") input = number(value, { ...range, step: "any" });
    else if (range) input = chosen(range, value);
    else input = made("input", { type: "color" });
    input.oninput = () => {
      if (typeof value === "number" && !input.checkValidity()) return;
      const now = input.type === "checkbox" ? input.checked : input.value;
      this.studio.set({ [name]: typeof value === "number" ? Number(now) : now }, name);
    };
    this.inputs[name] = input;
    return labelled(`layer.${name}`, input);
  }

  colourOf(i) {
    const { studio } = this;
    const input = made("input", { type: "color", value: studio.layer.colours[i] });
    input.oninput = () => {
      studio.set({ colours: studio.layer.colours.with(i, input.value) }, `colour ${i}`);
    };
    return labelled(`layer.colour${i + 1}`, input);
  }
}

// Shows a value, but not in place of what is just being typed.
function put(input, value) {
  if (input === document.activeElement && input.type !== "range") return;
  if (input.type === "checkbox") input.checked = value;
  else input.value = typeof value === "number" ? Math.round(100 * value) / 100 : value;
}
