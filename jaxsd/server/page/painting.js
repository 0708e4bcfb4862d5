// A canvas to paint on with brush and eraser, by pointer or by keys, over a picture or alone.

import { MOVES, placeOf, stroke } from "./brush.js";
import { button, choices, labelled, made, slider } from "./elements.js";
import { Past } from "./past.js";
import { copied, pngOf, sheet } from "./pictures.js";
import { Zoom } from "./zoom.js";

const LARGEST = 0.4; // brush, of the shorter side
const GROWTH = 1.25; // of the brush, by a key

export class Painting {
  // `label` is the key of what the canvas is called; `colour` is that of the brush, and `share` its
  // size, of the shorter side.
  constructor(label, colour, share) {
    Object.assign(this, { colour, share, tool: "brush", pointer: null });
    this.paper = made("canvas", { className: "paper", width: 1, height: 1 });
    this.canvas = made("canvas", { className: "paint", tabIndex: 0, role: "img", data: { label } });
    this.ring = made("i", { className: "ring", hidden: true });
    this.view = new Zoom(made("div", { className: "stack" }, this.paper, this.canvas));
    this.view.box.append(this.ring);
    this.size = slider(1, { min: 1, max: 1 });
    this.said = made("output");
    const tools = { brush: "brush", eraser: "eraser", hand: "hand" };
    const chosen = choices(tools, "brush", (name) => this.choose(name));
    const size = labelled("brush.size", this.size);
    size.append(this.said);
    this.past = new Past(
      () => [copied(this.canvas), this.empty],
      ([canvas, empty]) => this.replace(canvas, empty),
    );
    this.bar = made(
      "div",
      { className: "bar" },
      chosen,
      this.view.buttons,
      this.past.undoes,
      this.past.redoes,
      size,
      button("invert", () => this.invert()),
      button("clear", () => this.clear()),
    );
    this.box = made("div", { className: "painting" }, this.bar, this.view.box);
    this.listen();
    this.begin(512, 512);
  }

  // A new sheet of a size; beneath it a picture, or white.
  begin(width, height, picture = null) {
    Object.assign(this.canvas, { width, height });
    Object.assign(this.paper, { width, height });
    const pen = this.paper.getContext("2d");
    pen.fillStyle = "#fff";
    pen.fillRect(0, 0, width, height);
    if (picture) pen.drawImage(picture, 0, 0, width, height);
    this.view.box.style.setProperty("--proportion", width / height);
    this.view.show(1, [0, 0]);
    const shorter = Math.min(width, height);
    this.size.max = Math.max(2, Math.round(LARGEST * shorter));
    this.resize(Math.round(this.share * shorter));
    Object.assign(this, { at: [width / 2, height / 2], empty: true });
    this.past.forget();
  }

  choose(tool) {
    this.tool = tool;
    this.view.box.classList.toggle("held", tool === "hand");
  }

  // Gives the brush a size, in pixels of the picture.
  resize(pixels) {
    this.size.value = pixels;
    this.said.textContent = `${this.size.value} px`;
  }

  get brush() {
    return { size: Number(this.size.value), colour: this.colour, erase: this.tool === "eraser" };
  }

  listen() {
    const { canvas } = this;
    canvas.onpointerdown = (event) => this.down(event);
    canvas.onpointermove = (event) => this.moved(event);
    canvas.onpointerup = canvas.onpointercancel = (event) => {
      this.view.release(event);
      if (event.pointerId === this.pointer) this.pointer = null;
    };
    canvas.onpointerleave = canvas.onblur = () => (this.ring.hidden = true);
    canvas.onkeydown = (event) => this.press(event);
    this.view.box.addEventListener("wheel", () => this.showRing());
    canvas.onmousedown = (event) => {
      if (event.button === 1) event.preventDefault(); // or the page would scroll
    };
    this.size.oninput = () => this.resize(this.size.value);
  }

  // A pointer paints, unless it moves the picture. What the first of two fingers drew is no stroke.
  down(event) {
    this.canvas.setPointerCapture(event.pointerId);
    if (this.view.press(event, this.tool === "hand")) {
      if (this.pointer !== null) this.past.drop();
      this.pointer = null;
      this.ring.hidden = true;
      return;
    }
    if (event.button) return;
    const place = placeOf(this.canvas, event);
    this.pointer = event.pointerId;
    this.past.keep();
    this.paint(place, place);
  }

  moved(event) {
    if (this.view.drag(event)) return;
    const to = placeOf(this.canvas, event);
    if (event.pointerId === this.pointer) this.paint(this.at, to);
    this.at = to;
    this.showRing();
  }

  // Arrows move the brush (with Shift further) or, with the hand, the picture; the space bar
  // paints, [ and ] change the brush's size, Ctrl+Z takes back. Other keys zoom.
  press(event) {
    const { key, shiftKey } = event;
    const control = event.ctrlKey || event.metaKey;
    if (control && key.toLowerCase() === "z") shiftKey ? this.past.redo() : this.past.undo();
    else if (control && key === "y") this.past.redo();
    else if (control) return;
    else if (key in MOVES) this.lead(MOVES[key], shiftKey ? 4 : 1);
    else if (key === " ") this.dab();
    else if (key === "[") this.resize(Math.floor(this.brush.size / GROWTH));
    else if (key === "]") this.resize(Math.ceil(this.brush.size * GROWTH));
    else if (!this.view.key(key, this.place)) return;
    event.preventDefault();
    this.showRing();
  }

  lead(move, far) {
    if (this.tool === "hand") return this.view.move(move.map((one) => -0.05 * far * one));
    const { width, height } = this.canvas;
    const step = 0.5 * far * this.brush.size;
    const ends = [width, height];
    this.at = this.at.map((one, i) => Math.min(Math.max(one + move[i] * step, 0), ends[i]));
    this.view.follow(this.place);
  }

  // Where the brush is, in shares of the sides.
  get place() {
    return [this.at[0] / this.canvas.width, this.at[1] / this.canvas.height];
  }

  showRing() {
    const { box, times, corner } = this.view;
    const sides = [box.clientWidth, box.clientHeight];
    const side = Math.max(4, (this.brush.size * times * box.clientWidth) / this.canvas.width);
    const [x, y] = this.place.map((one, i) => (corner[i] + one * times) * sides[i] - side / 2);
    this.ring.hidden = this.tool === "hand";
    Object.assign(this.ring.style, {
      width: `${side}px`,
      height: `${side}px`,
      left: `${x}px`,
      top: `${y}px`,
    });
  }

  dab() {
    if (this.tool === "hand") return;
    this.past.keep();
    this.paint(this.at, this.at);
  }

  paint(from, to) {
    stroke(this.canvas, from, to, this.brush);
    this.at = to;
    if (this.tool === "brush") this.empty = false;
  }

  replace(canvas, empty) {
    this.empty = empty;
    const pen = this.canvas.getContext("2d");
    pen.clearRect(0, 0, canvas.width, canvas.height);
    pen.drawImage(canvas, 0, 0);
  }

  clear() {
    this.past.keep();
    this.replace(sheet(this.canvas.width, this.canvas.height), true);
  }

  invert() {
    this.past.keep();
    const { width, height } = this.canvas;
    const pen = this.canvas.getContext("2d");
    pen.save();
    pen.globalCompositeOperation = "source-out";
    pen.fillStyle = this.colour;
    pen.fillRect(0, 0, width, height);
    pen.restore();
    this.empty = false;
  }

  // What is painted, in one colour on another, as a PNG.
  png(ink, ground) {
    const flat = copied(this.canvas);
    const pen = flat.getContext("2d");
    for (const [how, colour] of [["source-in", ink], ["destination-over", ground]]) {
      pen.globalCompositeOperation = how;
      pen.fillStyle = colour;
      pen.fillRect(0, 0, flat.width, flat.height);
    }
    return pngOf(flat);
  }
}
