// What a pointer and keys do on the editor's canvas: move and scale layers, crop, paint.

import { MOVES, placeOf, stroke } from "./brush.js";
import { layerAt, paint, sizeOf, turnedBack } from "./layers.js";
import { copied } from "./pictures.js";

const HANDLE = 14; // pixels of the screen

export class Tools {
  constructor(studio, canvas) {
    Object.assign(this, { studio, canvas, name: "move", crop: null, drag: null, at: [0, 0] });
    this.brush = { size: 24, colour: "#e02020" };
    canvas.onpointerdown = (event) => this.press(event);
    canvas.onpointermove = (event) => this.move(event);
    canvas.onpointerup = canvas.onpointercancel = () => (this.drag = null);
    canvas.onkeydown = (event) => this.key(event);
  }

  choose(name) {
    const { width, height } = this.studio.document;
    this.name = name;
    this.crop = name === "crop" ? [0, 0, width, height] : null;
    this.at = [width / 2, height / 2];
    this.studio.tell();
  }

  // Pixels of the document in one of the screen.
  get scale() {
    return this.canvas.width / (this.canvas.clientWidth || this.canvas.width);
  }

  press(event) {
    const place = placeOf(this.canvas, event);
    this.canvas.setPointerCapture(event.pointerId);
    this.at = place;
    if (this.name === "crop") this.drag = { crop: place };
    else if (this.name === "move") this.grasp(place);
    else this.begin(place);
  }

  // Takes hold of the selected layer's handle, or else of the layer below.
  grasp(place) {
    const { studio } = this;
    const held = studio.layer;
    if (held && "x" in held && this.onHandle(held, place)) {
      this.drag = { scales: held, reach: Math.hypot(place[0] - held.x, place[1] - held.y) };
      return;
    }
    const layer = layerAt(studio.document, place);
    studio.select(layer);
    if (layer) this.drag = { moves: layer, place };
  }

  onHandle(layer, place) {
    const [x, y] = turnedBack(layer, place);
    const [width, height] = sizeOf(layer);
    return Math.hypot(x - width / 2, y - height / 2) < HANDLE * this.scale;
  }

  move(event) {
    if (!this.drag) return;
    const place = placeOf(this.canvas, event);
    const { moves, scales, crop, strokes } = this.drag;
    if (moves) {
      const [right, down] = [0, 1].map((i) => place[i] - this.drag.place[i]);
      this.studio.set({ x: moves.x + right, y: moves.y + down }, `moves ${event.pointerId}`);
    } else if (scales) {
      const by = Math.hypot(place[0] - scales.x, place[1] - scales.y) / this.drag.reach;
      this.studio.set(scaled(scales, Math.max(by, 0.02)), `scales ${event.pointerId}`);
    } else if (crop) {
      this.crop = this.inside(crop, place);
      this.studio.tell();
    } else if (strokes) {
      this.paint(this.at, place);
    }
    this.at = place;
  }

  // The box between two points, within the document.
  inside(from, to) {
    const { width, height } = this.studio.document;
    const within = (one, most) => Math.round(Math.min(Math.max(one, 0), most));
    const ends = [width, height].map((most, i) =>
      [from[i], to[i]].map((one) => within(one, most)).sort((a, b) => a - b),
    );
    return [...ends.map(([low]) => low), ...ends.map(([low, high]) => Math.max(1, high - low))];
  }

  // Begins a stroke, on a copy of the layer's pixels, or on a new layer.
  begin(place) {
    const { studio } = this;
    if (studio.layer?.kind !== "paint") {
      if (this.name === "eraser") return;
      studio.add(paint(studio.document));
    } else {
      studio.set({ source: copied(studio.layer.source) });
    }
    this.drag = { strokes: true };
    this.paint(place, place);
  }

  paint(from, to) {
    const { layer } = this.studio;
    const place = (point) => {
      const [x, y] = turnedBack(layer, point);
      return [x + layer.width / 2, y + layer.height / 2];
    };
    const brush = { ...this.brush, erase: this.name === "eraser" };
    stroke(layer.source, place(from), place(to), brush);
    this.studio.tell();
  }

  // Arrows move the selected layer or the brush, with Shift further; the space bar paints.
  key(event) {
    const { studio } = this;
    const move = MOVES[event.key];
    const step = event.shiftKey ? 10 : 1;
    const paints = ["brush", "eraser"].includes(this.name);
    if (move && paints) {
      this.at = this.at.map((one, i) => one + move[i] * step * 4);
      studio.tell();
    } else if (move && studio.layer && "x" in studio.layer) {
      const { x, y } = studio.layer;
      studio.set({ x: x + move[0] * step, y: y + move[1] * step }, "moves by keys");
    } else if (event.key === " " && paints) {
      this.begin(this.at);
      this.drag = null;
    } else if (event.key === "Delete" && studio.layer) {
      studio.remove();
    } else {
      return;
    }
    event.preventDefault();
  }

  // What is seen of the tools over the document: the selection, the crop, the brush.
  show(pen, focused) {
    const { scale } = this;
    const { layer } = this.studio;
    pen.save();
    Object.assign(pen, { lineWidth: 1.5 * scale, strokeStyle: "#0a58ca" });
    if (this.crop) this.showCrop(pen);
    else if (this.name === "move" && layer && "x" in layer) this.showSelection(pen, layer);
    else if (focused && ["brush", "eraser"].includes(this.name)) {
      pen.beginPath();
      pen.arc(...this.at, Math.max(this.brush.size / 2, 2 * scale), 0, 2 * Math.PI);
      pen.stroke();
    }
    pen.restore();
  }

  showCrop(pen) {
    const [left, top, width, height] = this.crop;
    pen.fillStyle = "#0009";
    pen.beginPath();
    pen.rect(0, 0, this.canvas.width, this.canvas.height);
    pen.rect(left, top, width, height);
    pen.fill("evenodd");
    pen.strokeRect(left, top, width, height);
  }

  showSelection(pen, layer) {
    const [width, height] = sizeOf(layer);
    const { scale } = this;
    pen.translate(layer.x, layer.y);
    pen.rotate((layer.angle * Math.PI) / 180);
    if (layer.mirrored) pen.scale(-1, 1);
    pen.setLineDash([6 * scale, 4 * scale]);
    pen.strokeRect(-width / 2, -height / 2, width, height);
    pen.setLineDash([]);
    pen.fillStyle = "#fff";
    pen.beginPath();
    pen.arc(width / 2, height / 2, (HANDLE / 2) * scale, 0, 2 * Math.PI);
    pen.fill();
    pen.stroke();
  }
}

const scaled = (layer, by) =>
  layer.kind === "text"
    ? { size: Math.max(4, layer.size * by) }
    : { width: layer.width * by, height: layer.height * by };
