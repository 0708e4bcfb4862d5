// A picture of layers, and how they are drawn: backgrounds, pictures, texts, each turned and moved.

import { PATTERNS } from "./backgrounds.js";
import { sheet } from "./pictures.js";

export const FONTS = {
  sans: "system-ui, sans-serif",
  serif: "Georgia, 'Noto Serif', serif",
  mono: "ui-monospace, 'DejaVu Sans Mono', monospace",
  round: "'Comic Sans MS', 'Chalkboard SE', cursive",
};
export const SHAPES = ["rectangle", "rounded", "circle"];
const LINE = 1.2; // of a font's size
let last = 0;

// Where a layer's middle is, its size, and how it is turned.
function placed(layer) {
  last += 1;
  const usual = { angle: 0, mirrored: false, opacity: 1, visible: true };
  return { id: last, ...usual, ...layer };
}

export function background(pattern, colours) {
  return placed({ kind: "background", pattern, colours });
}

// A picture; without a source, a place where one is to be put. It covers its box.
export function picture(source, x, y, width, height, more = {}) {
  const usual = { shape: "rectangle", edge: 0, edgeColour: "#ffffff" };
  return placed({ kind: "picture", source, x, y, width, height, ...usual, ...more });
}

export function text(said, x, y, size, more = {}) {
  const usual = { font: "sans", bold: true, align: "center", colour: "#111111" };
  const edge = { outline: 0, outlineColour: "#ffffff" };
  return placed({ kind: "text", text: said, x, y, size, ...usual, ...edge, ...more });
}

// A layer of brush strokes, as large as the picture.
export function paint(document) {
  const { width, height } = document;
  return placed({
    kind: "paint",
    source: sheet(width, height),
    x: width / 2,
    y: height / 2,
    width,
    height,
  });
}

const fontOf = (layer) => `${layer.bold ? "bold " : ""}${layer.size}px ${FONTS[layer.font]}`;
const linesOf = (layer) => layer.text.split("\n");
const measuring = sheet(1, 1).getContext("2d");

// The width and height of a layer, before it is turned.
export function sizeOf(layer) {
  if (layer.kind !== "text") return [layer.width ?? 0, layer.height ?? 0];
  measuring.font = fontOf(layer);
  const widths = linesOf(layer).map((line) => measuring.measureText(line).width);
  return [Math.max(...widths, layer.size / 2), layer.size * LINE * widths.length];
}

function outlineOf(pen, shape, width, height) {
  pen.beginPath();
  const box = [-width / 2, -height / 2, width, height];
  if (shape === "circle") pen.ellipse(0, 0, width / 2, height / 2, 0, 0, 2 * Math.PI);
  else if (shape === "rounded") pen.roundRect(...box, 0.08 * Math.min(width, height));
  else pen.rect(...box);
}

function drawPicture(pen, layer, placeholders) {
  const { source, width, height, shape, edge } = layer;
  if (!source && !placeholders) return;
  pen.save();
  outlineOf(pen, shape, width, height);
  if (edge) {
    Object.assign(pen, { lineWidth: 2 * edge, strokeStyle: layer.edgeColour, lineJoin: "round" });
    pen.stroke();
  }
  pen.clip();
  if (source) {
    const scale = Math.max(width / source.width, height / source.height);
    const [wide, high] = [source.width * scale, source.height * scale];
    pen.imageSmoothingQuality = "high";
    pen.drawImage(source, -wide / 2, -high / 2, wide, high);
  } else {
    drawPlace(pen, width, height, placeholders);
  }
  pen.restore();
}

function drawPlace(pen, width, height, said) {
  pen.fillStyle = "#c3c9d2d0";
  pen.fillRect(-width / 2, -height / 2, width, height);
  const size = Math.min(width, height) / 12;
  pen.fillStyle = "#333";
  Object.assign(pen, { font: `${size}px ${FONTS.sans}`, textAlign: "center" });
  pen.textBaseline = "middle";
  pen.fillText(said, 0, 0, width * 0.9);
}

function drawText(pen, layer) {
  const [width, height] = sizeOf(layer);
  const x = { left: -width / 2, center: 0, right: width / 2 }[layer.align];
  pen.font = fontOf(layer);
  Object.assign(pen, { textAlign: layer.align, textBaseline: "middle", lineJoin: "round" });
  linesOf(layer).forEach((line, i) => {
    const y = (i + 0.5) * layer.size * LINE - height / 2;
    if (layer.outline) {
      Object.assign(pen, { lineWidth: 2 * layer.outline, strokeStyle: layer.outlineColour });
      pen.strokeText(line, x, y);
    }
    pen.fillStyle = layer.colour;
    pen.fillText(line, x, y);
  });
}

function drawPaint(pen, { source, width, height }) {
  pen.drawImage(source, -width / 2, -height / 2);
}

const DRAWN = { picture: drawPicture, text: drawText, paint: drawPaint };

// Draws a document. `placeholders` is what stands in empty places; without it they are not drawn.
export function draw(pen, document, placeholders = "") {
  pen.clearRect(0, 0, document.width, document.height);
  for (const layer of document.layers) {
    if (!layer.visible) continue;
    pen.save();
    pen.globalAlpha = layer.opacity;
    if (layer.kind === "background") {
      PATTERNS[layer.pattern](pen, document.width, document.height, layer.colours);
    } else {
      pen.translate(layer.x, layer.y);
      pen.rotate((layer.angle * Math.PI) / 180);
      if (layer.mirrored) pen.scale(-1, 1);
      DRAWN[layer.kind](pen, layer, placeholders);
    }
    pen.restore();
  }
}

export function flattened(document) {
  const canvas = sheet(document.width, document.height);
  draw(canvas.getContext("2d"), document);
  return canvas;
}

// The topmost layer that can be moved at a point, or null.
export function layerAt(document, [x, y]) {
  const hit = (layer) => {
    const [right, down] = turnedBack(layer, [x, y]);
    const [width, height] = sizeOf(layer);
    return Math.abs(right) <= width / 2 && Math.abs(down) <= height / 2;
  };
  const movable = (layer) => layer.visible && ["picture", "text"].includes(layer.kind);
  return document.layers.findLast((layer) => movable(layer) && hit(layer)) ?? null;
}

// A point of the document, in a layer's own directions from its middle.
export function turnedBack({ x, y, angle, mirrored }, [right, down]) {
  const turn = (-angle * Math.PI) / 180;
  const [dx, dy] = [right - x, down - y];
  const along = dx * Math.cos(turn) - dy * Math.sin(turn);
  return [mirrored ? -along : along, dx * Math.sin(turn) + dy * Math.cos(turn)];
}

// --- The whole picture ------------------------------------------------------------------------

const moved = (document, size, move) => ({
  ...document,
  ...size,
  layers: document.layers.map((layer) => ("x" in layer ? { ...layer, ...move(layer) } : layer)),
});

export function cropped(document, [left, top, width, height]) {
  return moved(document, { width, height }, ({ x, y }) => ({ x: x - left, y: y - top }));
}

// A quarter turn clockwise.
export function turned(document) {
  const { width, height } = document;
  const size = { width: height, height: width };
  return moved(document, size, ({ x, y, angle }) => ({ x: height - y, y: x, angle: angle + 90 }));
}

export function flipped(document, across) {
  const { width, height } = document;
  return moved(document, {}, ({ x, y, angle, mirrored }) =>
    across
      ? { x: width - x, angle: -angle, mirrored: !mirrored }
      : { y: height - y, angle: 180 - angle, mirrored: !mirrored },
  );
}
