// Templates: sizes and layouts with a place for a picture and texts, on drawn backgrounds.

import { background, picture, text } from "./layers.js";
import { t } from "./texts.js";

// Pairs of colours, and one that can be read on both.
export const PALETTES = {
  sunrise: ["#ff9a62", "#ffd36b", "#3a1d0d"],
  sea: ["#0b4f8a", "#2c9bd6", "#ffffff"],
  mint: ["#c9f2e1", "#8edcc0", "#0d3b2e"],
  night: ["#1b1b3a", "#41337a", "#ffffff"],
  paper: ["#f6f1e7", "#e6dcc8", "#3b2f20"],
  candy: ["#ffd1e3", "#ff9ec4", "#5a1136"],
};

function poster([first, second, ink]) {
  const [width, height] = [1080, 1350];
  return {
    width,
    height,
    layers: [
      background("rays", [first, second]),
      text(t("template.title"), 540, 130, 120, { colour: ink }),
      picture(null, 540, 660, 820, 820, { shape: "rounded", edge: 14 }),
      text(t("template.subtitle"), 540, 1160, 58, { colour: ink }),
      text(t("template.date"), 540, 1255, 44, { colour: ink, bold: false }),
    ],
  };
}

// Outside of its edge a sticker is transparent.
function sticker([first, second, ink]) {
  return {
    width: 768,
    height: 768,
    layers: [
      picture(null, 384, 350, 600, 600, { shape: "circle", edge: 30 }),
      text(t("template.hello"), 384, 672, 110, {
        colour: first === "#f6f1e7" ? ink : first,
        outline: 18,
        angle: -4,
      }),
    ],
  };
}

function post([first, second, ink]) {
  return {
    width: 1080,
    height: 1080,
    layers: [
      background("confetti", [first, second]),
      picture(null, 540, 430, 680, 680, { shape: "circle", edge: 16 }),
      text(t("template.title"), 540, 880, 104, { colour: ink }),
      text(t("template.subtitle"), 540, 985, 50, { colour: ink, bold: false }),
    ],
  };
}

function banner([first, second, ink]) {
  return {
    width: 1500,
    height: 500,
    layers: [
      background("waves", [first, second]),
      picture(null, 1230, 250, 400, 400, { shape: "rounded", edge: 12 }),
      text(t("template.title"), 510, 200, 120, { colour: ink }),
      text(t("template.subtitle"), 510, 320, 56, { colour: ink, bold: false }),
    ],
  };
}

function logo([first, second, ink]) {
  return {
    width: 800,
    height: 800,
    layers: [
      background("plain", [first, second]),
      picture(null, 400, 310, 380, 380, { shape: "circle", edge: 18, edgeColour: ink }),
      text(t("template.name"), 400, 600, 110, { colour: ink, font: "serif" }),
      text(t("template.slogan"), 400, 700, 44, { colour: ink, bold: false }),
    ],
  };
}

export const TEMPLATES = { poster, sticker, post, banner, logo };
