// A canvas to paint on with brush and eraser, by pointer or by keys, over a picture or alone.

import { button, choices, labelled, made, slider } from "./elements.js";
import { copied, pngOf, sheet } from "./pictures.js";

const MOST_UNDONE = 20;
const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

// A line of a brush from one point to another; with one point, a dot.
export function stroke(canvas, from, to, { size, colour, erase = false }) {
  const pen = canvas.getContext("2d");
  pen.save();
  pen.globalCompositeOperation = erase ? "destination-out" : "source-over";
  Object.assign(pen, { lineCap: "round", lineJoin: "round", lineWidth: size, strokeStyle: colour });
  pen.beginPath();
  pen.moveTo(...from);
  pen.lineTo(to[0] + (from[0] === to[0] && from[1] === to[1] ? 0.01 : 0), to[1]);
  pen.stroke();
  pen.restore();
}

// The place of a pointer in the pixels of a canvas.
export function placeOf(canvas, event) {
  const box = canvas.getBoundingClientRect();
  return [
    ((event.clientX - box.left) * canvas.width) / box.width,
    ((event.clientY - box.top) * canvas.height) / box.height,
  ];
}

export class Painting {
  // `label` is the key of what the canvas is called; `colour` is that of the brush.
  constructor(label, colour) {
    this.colour = colour;
    this.tool = "brush";
    this.paper = made("canvas", { className: "paper", width: 1, height: 1 });
    this.canvas = made("canvas", { className: "paint", tabIndex: 0, role: "img", data: { label } });
    this.ring = made("i", { className: "ring", hidden: true });
    this.stack = made("div", { className: "stack" }, this.paper, this.canvas, this.ring);
    this.size = slider(8, { min: 1, max: 40 });
    const tools = { brush: "brush", eraser: "eraser" };
    this.bar = made(
      "div",
      { className: "bar" },
      choices(tools, "brush", (name) => (this.tool = name)),
      labelled("brush.size", this.size),
      button("undo", () => this.undo()),
      button("invert", () => this.invert()),
      button("clear", () => this.clear()),
    );
    this.box = made("div", { className: "painting" }, this.stack, this.bar);
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
    this.undone = [];
    this.at = [width / 2, height / 2];
    this.empty = true;
  }

  get brush() {
    const size = (Number(this.size.value) / 100) * Math.min(this.canvas.width, this.canvas.height);
    return { size, colour: this.colour, erase: this.tool === "eraser" };
  }

  listen() {
    const { canvas } = this;
    canvas.onpointerdown = (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.keep();
      this.paint(placeOf(canvas, event), placeOf(canvas, event));
    };
    canvas.onpointermove = (event) => {
      const to = placeOf(canvas, event);
      if (event.buttons && canvas.hasPointerCapture(event.pointerId)) this.paint(this.at, to);
      this.at = to;
      this.showRing();
    };
    canvas.onpointerleave = canvas.onblur = () => (this.ring.hidden = true);
    canvas.onkeydown = (event) => this.press(event);
  }

  // Arrows move the brush (with Shift further), the space bar paints, Ctrl+Z takes it back.
  press(event) {
    const move = MOVES[event.key];
    if (move) {
      const step = (event.shiftKey ? 2 : 0.5) * this.brush.size;
      this.at = this.at.map((one, i) => one + move[i] * step);
    } else if (event.key === " ") {
      this.keep();
      this.paint(this.at, this.at);
    } else if (event.key === "z" && (event.ctrlKey || event.metaKey)) {
      this.undo();
    } else {
      return;
    }
    event.preventDefault();
    this.showRing();
  }

  showRing() {
    const scale = this.canvas.clientWidth / this.canvas.width;
    const side = Math.max(4, this.brush.size * scale);
    this.ring.hidden = false;
    Object.assign(this.ring.style, {
      width: `${side}px`,
      height: `${side}px`,
      left: `${this.at[0] * scale - side / 2}px`,
      top: `${this.at[1] * scale - side / 2}px`,
    });
  }

  keep() {
    this.undone.push([copied(this.canvas), this.empty]);
    this.undone.splice(0, this.undone.length - MOST_UNDONE);
  }

  paint(from, to) {
    stroke(this.canvas, from, to, this.brush);
    this.at = to;
    if (this.tool === "brush") this.empty = false;
  }

  replace(canvas) {
    const pen = this.canvas.getContext("2d");
    pen.clearRect(0, 0, canvas.width, canvas.height);
    pen.drawImage(canvas, 0, 0);
  }

  undo() {
    const last = this.undone.pop();
    if (!last) return;
    this.replace(last[0]);
    this.empty = last[1];
  }

  clear() {
    this.keep();
    this.replace(sheet(this.canvas.width, this.canvas.height));
    this.empty = true;
  }

  invert() {
    this.keep();
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
