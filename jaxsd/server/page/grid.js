// Grids: two options change along the axes, and the pictures are one labelled sheet.

import * as api from "./api.js";
import { at, button, complain, labelled, made, says, trying } from "./elements.js";
import { axes, named, nameOf, optionOf, parsed } from "./form.js";
import { show } from "./gallery.js";
import { follow } from "./jobs.js";
import { canvasOf, download, sheet } from "./pictures.js";
import { t } from "./texts.js";

const MOST = 64; // cells
const CELL = 192; // pixels of a cell's longer side
const ROOM = 120; // for the labels of rows
const HEAD = 34; // for those of columns
const chosenAxes = [];

export function makeGrid() {
  for (const side of ["x", "y"]) {
    const usual = says("option", "grid.none", { value: "" });
    const names = axes().map((name) => named("option", name, { value: name }));
    const axis = made("select", { id: `grid-${side}` }, usual, ...names);
    const values = made("input", { type: "text", id: `grid-${side}-values` });
    axis.onchange = () => (values.placeholder = example(axis.value));
    chosenAxes.push({ axis, values });
    const fields = [labelled(`grid.${side}`, axis), labelled("grid.values", values)];
    at("grid").append(made("div", { className: "row" }, ...fields));
  }
  at("grid").append(says("p", "grid.hint", { className: "hint" }));
}

function example(name) {
  if (name === "prompt") return t("grid.prompt");
  const words = optionOf(name)?.enum;
  return words ? words.join(", ") : "";
}

// The axes that are in use: their option's name and its texts.
function along() {
  return chosenAxes.map(({ axis, values }) => {
    const texts = values.value.split(",").map((one) => one.trim()).filter(Boolean);
    if (axis.value && !texts.length) {
      throw new Error(t("error.grid", { name: nameOf(axis.value) }));
    }
    return axis.value ? { name: axis.value, texts } : { name: null, texts: [""] };
  });
}

export const asked = () => at("grid").open && chosenAxes.some(({ axis }) => axis.value);

// Values with one text of an axis; in prompts the axis' first text is replaced.
function changed(values, { name, texts }, text) {
  if (!name) return values;
  if (name !== "prompt") return { ...values, [name]: parsed(name, text) };
  if (!values.prompt?.includes(texts[0])) throw new Error(t("error.words", { words: texts[0] }));
  return { ...values, prompt: values.prompt.replaceAll(texts[0], text) };
}

// Draws each cell as a job of its own, all with one seed unless the seed is an axis.
export async function drawGrid(values) {
  const [x, y] = along();
  if (x.texts.length * y.texts.length > MOST) throw new Error(t("error.cells", { most: MOST }));
  const base = { seed: Math.floor(Math.random() * 2 ** 32), ...values, num_images: 1 };
  const cells = y.texts.flatMap((row, j) =>
    x.texts.map((column, i) => ({ i, j, values: changed(changed(base, x, column), y, row) })),
  );
  const first = await api.beginJob(cells[0].values); // what is wrong shows in the first
  const table = new Sheet(x, y, cells.length);
  try {
    for (const cell of cells) {
      if (table.over) return;
      const job = cell === cells[0] ? first : await api.beginJob(cell.values, true);
      table.expect(job, cell);
    }
  } catch (error) {
    await table.end();
    throw error;
  }
}

// The sheet on the page, filled as pictures come.
class Sheet {
  constructor(x, y, count) {
    Object.assign(this, { x, y, count, done: 0, ids: new Set(), over: false });
    this.canvas = made("canvas", { role: "img", ariaLabel: this.title() });
    this.text = made("p", { className: "hint" }, "0%");
    this.cancel = button("cancel", trying(() => this.end()));
    this.save = button("save", () => download(this.canvas, "grid.png"));
    this.canvas.hidden = this.save.hidden = true;
    this.card = made(
      "div",
      { className: "sheet panel" },
      made("p", { className: "actions" }, this.text, this.cancel, this.save),
      this.canvas,
    );
    at("sheets").prepend(this.card);
  }

  title() {
    const named = [this.x, this.y].filter(({ name }) => name);
    return named.map(({ name, texts }) => `${nameOf(name)}: ${texts.join(", ")}`).join("; ");
  }

  expect(job, cell) {
    this.ids.add(job.id);
    if (this.over) api.cancelJob(job.id).catch(() => {});
    follow(job, {
      over: async (now) => {
        this.ids.delete(job.id);
        this.done += 1;
        this.text.textContent = `${Math.round((100 * this.done) / this.count)}%`;
        if (now.error) complain(new Error(now.error));
        show(now);
        if (now.images[0]?.url) this.put(await canvasOf(`.${now.images[0].url}`), cell);
        if (this.done === this.count) this.finish();
      },
    });
  }

  finish() {
    this.over = true;
    this.cancel.remove();
    this.text.textContent = this.title();
  }

  async end() {
    this.finish();
    await Promise.allSettled([...this.ids].map(api.cancelJob));
  }

  // Lays the sheet out by its first picture.
  begin(picture) {
    const scale = Math.min(1, CELL / Math.max(picture.width, picture.height));
    this.cell = [Math.max(96, picture.width * scale), Math.max(96, picture.height * scale)];
    const room = this.y.name ? ROOM : 0;
    this.corner = [room, this.x.name ? HEAD : 0];
    const { width, height } = sheet(
      room + this.x.texts.length * this.cell[0],
      this.corner[1] + this.y.texts.length * this.cell[1],
    );
    Object.assign(this.canvas, { width, height, hidden: false });
    this.save.hidden = false;
    const pen = this.canvas.getContext("2d");
    pen.fillStyle = "#fff";
    pen.fillRect(0, 0, width, height);
    Object.assign(pen, { fillStyle: "#111", textAlign: "center", textBaseline: "middle" });
    pen.font = "14px system-ui, sans-serif";
    const [wide, high] = this.cell;
    this.x.texts.forEach((text, i) => {
      if (this.x.name) pen.fillText(text, room + (i + 0.5) * wide, HEAD / 2, wide - 8);
    });
    this.y.texts.forEach((text, j) => {
      if (this.y.name) pen.fillText(text, ROOM / 2, this.corner[1] + (j + 0.5) * high, ROOM - 8);
    });
  }

  put(picture, { i, j }) {
    if (this.canvas.hidden) this.begin(picture);
    const [wide, high] = this.cell;
    const pen = this.canvas.getContext("2d");
    pen.imageSmoothingQuality = "high";
    pen.drawImage(picture, this.corner[0] + i * wide, this.corner[1] + j * high, wide, high);
  }
}
