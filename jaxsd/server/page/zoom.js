// A picture that is looked at from near: by wheel, two fingers, the hand, buttons or keys.

import { made } from "./elements.js";

const MOST = 32; // times
const STEP = 1.5; // of a button or a key
const WHEEL = 0.002; // of a pixel of the wheel, as a logarithm
const PIXELATED = 3; // pixels of the screen in one of the picture, from which on squares are seen
const LINE = 20; // pixels of a wheel that counts in lines

const between = (low, one, high) => Math.min(Math.max(one, low), high);

// Places are shares of the box, so they hold whatever size the box gets.
export class Zoom {
  // `inner`, whose canvases fill it, fills the box and moves in it.
  constructor(inner) {
    this.inner = inner;
    this.box = made("div", { className: "view" }, inner);
    this.fingers = new Map(); // pointer -> its place, of those that move the picture
    const press = (textContent, onclick, data) =>
      made("button", { type: "button", textContent, onclick, data });
    this.all = press("", () => this.show(1, [0, 0]), { title: "zoom.all" });
    this.all.className = "zoomed";
    this.buttons = made(
      "div",
      { className: "choices" },
      press("−", () => this.by(1 / STEP), { label: "zoom.out" }),
      this.all,
      press("+", () => this.by(STEP), { label: "zoom.in" }),
    );
    this.box.addEventListener("wheel", (event) => this.roll(event), { passive: false });
    this.show(1, [0, 0]);
  }

  // Shows the picture so many times as large, with its corner at a place. It always fills the box.
  show(times, corner) {
    this.times = between(1, times, MOST);
    this.corner = corner.map((one) => between(1 - this.times, one, 0));
    const [x, y] = this.corner.map((one) => `${100 * one}%`);
    this.inner.style.transform = `translate(${x}, ${y}) scale(${this.times})`;
    const pixel = (this.times * this.inner.clientWidth) / this.inner.querySelector("canvas").width;
    this.inner.classList.toggle("near", pixel > PIXELATED);
    this.all.textContent = `${Math.round(100 * this.times)}%`;
  }

  // Zooms by a factor; what is at a place of the box stays there.
  by(factor, at = [0.5, 0.5]) {
    const times = between(1, this.times * factor, MOST);
    const grown = times / this.times;
    this.show(times, at.map((one, i) => one - (one - this.corner[i]) * grown));
  }

  move(by) {
    this.show(this.times, this.corner.map((one, i) => one + by[i]));
  }

  // Moves so that a place of the picture, in shares of its sides, is seen.
  follow(place) {
    const seen = (one, i) => between(0.1, this.corner[i] + one * this.times, 0.9);
    this.show(this.times, place.map((one, i) => seen(one, i) - one * this.times));
  }

  // What a key does: whether it is one of these. `place` is where the brush is.
  key(key, place) {
    if (key === "0") this.show(1, [0, 0]);
    else if (["+", "=", "-"].includes(key)) this.by(key === "-" ? 1 / STEP : STEP);
    else return false;
    this.follow(place);
    return true;
  }

  placeOf(event) {
    const box = this.box.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  }

  // The wheel zooms with Ctrl, and without it once the picture has the focus; else the page moves.
  roll(event) {
    const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? LINE : 1;
    const factor = Math.exp(-event.deltaY * lines * WHEEL * (event.ctrlKey ? 2 : 1));
    const able = this.times > 1 || factor > 1;
    if (!event.ctrlKey && !(able && this.box.contains(document.activeElement))) return;
    event.preventDefault();
    this.by(factor, this.placeOf(event));
  }

  // A pointer comes down: whether it moves the picture, as the hand does and any two fingers do.
  press(event, hand) {
    if (event.isPrimary) this.fingers.clear();
    this.fingers.set(event.pointerId, this.placeOf(event));
    this.holds = hand || event.button === 1 || this.fingers.size > 1;
    return this.holds;
  }

  // A pointer moves: whether it moved the picture.
  drag(event) {
    const { fingers } = this;
    if (!this.holds || !fingers.has(event.pointerId)) return false;
    const before = [...fingers.values()];
    fingers.set(event.pointerId, this.placeOf(event));
    const now = [...fingers.values()];
    const [was, is] = [before, now].map(middle);
    if (now.length > 1) this.by(apart(now) / (apart(before) || 1), was);
    this.move(is.map((one, i) => one - was[i]));
    return true;
  }

  // A pointer goes. What moved the picture does so until the last one has gone.
  release(event) {
    this.fingers.delete(event.pointerId);
    if (!this.fingers.size) this.holds = false;
  }
}

function middle(places) {
  return [0, 1].map((i) => places.reduce((sum, one) => sum + one[i], 0) / places.length);
}

function apart([one, other]) {
  return Math.hypot(one[0] - other[0], one[1] - other[1]);
}
