// What a thing was before, to be taken back and done again.

import { button } from "./elements.js";

const MOST = 20;

export class Past {
  // `read` gives the state that is to be kept, and `write` brings one back.
  constructor(read, write) {
    Object.assign(this, { read, write });
    this.undoes = button("undo", () => this.undo());
    this.redoes = button("redo", () => this.redo());
    this.forget();
  }

  forget() {
    this.take([], []);
  }

  // Keeps what is there, before it changes.
  keep() {
    this.take([...this.past, this.read()].slice(-MOST), []);
  }

  undo() {
    if (!this.past.length) return;
    const now = this.read();
    this.write(this.past.at(-1));
    this.take(this.past.slice(0, -1), [...this.future, now]);
  }

  redo() {
    if (!this.future.length) return;
    const now = this.read();
    this.write(this.future.at(-1));
    this.take([...this.past, now], this.future.slice(0, -1));
  }

  // Takes back what was just begun, as if it had not been.
  drop() {
    this.undo();
    this.take(this.past, this.future.slice(0, -1));
  }

  take(past, future) {
    Object.assign(this, { past, future });
    this.undoes.disabled = !past.length;
    this.redoes.disabled = !future.length;
  }
}
