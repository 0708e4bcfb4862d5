// Pictures as canvases: read, scaled, written.

import { made } from "./elements.js";
import { t } from "./texts.js";

const MOST = 2048; // pixels of a side that are kept

export function sheet(width, height) {
  return made("canvas", { width: Math.round(width), height: Math.round(height) });
}

// The picture in a file or behind an address of this server, at most 2048 pixels a side.
export async function canvasOf(source) {
  const name = source.name ?? "picture";
  const blob = source instanceof Blob ? source : await (await fetch(source)).blob();
  const bitmap = await createImageBitmap(blob).catch(() => {
    throw new Error(t("error.picture", { name }));
  });
  const scale = Math.min(1, MOST / Math.max(bitmap.width, bitmap.height));
  const canvas = sheet(bitmap.width * scale, bitmap.height * scale);
  const pen = canvas.getContext("2d");
  pen.imageSmoothingQuality = "high";
  pen.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  bitmap.close();
  return canvas;
}

export function copied(canvas) {
  const copy = sheet(canvas.width, canvas.height);
  copy.getContext("2d").drawImage(canvas, 0, 0);
  return copy;
}

// As a PNG in a data: URL.
export const pngOf = (canvas) => canvas.toDataURL("image/png");

export async function download(canvas, name) {
  const blob = await new Promise((done) => canvas.toBlob(done, "image/png"));
  const link = made("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

export function dataUrlOf(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(new Error(t("error.picture", { name: file.name })));
    reader.readAsDataURL(file);
  });
}

// Asks the user for a picture; null if none is chosen.
export function chosenFile() {
  return new Promise((done) => {
    const input = made("input", { type: "file", accept: "image/*" });
    input.onchange = () => done(input.files[0] ?? null);
    input.oncancel = () => done(null);
    input.click();
  });
}
