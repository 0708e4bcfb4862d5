// The document that is edited, which layer of it is selected, and what was done, to be undone.

const MOST_UNDONE = 40;
const EMPTY = { width: 768, height: 768, layers: [] };

// Documents are never changed, only replaced, so that the old ones can come back.
export class Studio extends EventTarget {
  constructor() {
    super();
    Object.assign(this, { document: EMPTY, selected: null, past: [], future: [], last: null });
  }

  get layer() {
    return this.document.layers.find(({ id }) => id === this.selected) ?? null;
  }

  tell() {
    this.dispatchEvent(new Event("change"));
  }

  select(layer) {
    this.selected = layer?.id ?? null;
    this.tell();
  }

  // Takes a new document. Changes of one kind in a row are undone at once.
  take(document, kind = null) {
    if (!kind || kind !== this.last) {
      this.past.push(this.document);
      this.past.splice(0, this.past.length - MOST_UNDONE);
    }
    this.last = kind;
    this.future = [];
    this.document = document;
    this.tell();
  }

  step(from, to) {
    if (!from.length) return;
    to.push(this.document);
    this.document = from.pop();
    this.last = null;
    this.tell();
  }

  undo() {
    this.step(this.past, this.future);
  }

  redo() {
    this.step(this.future, this.past);
  }

  layers(layers, kind) {
    this.take({ ...this.document, layers }, kind);
  }

  // Adds a layer on top, and selects it.
  add(layer) {
    this.selected = layer.id;
    this.layers([...this.document.layers, layer]);
  }

  // Changes values of the selected layer.
  set(values, kind = null) {
    const changed = (one) => (one.id === this.selected ? { ...one, ...values } : one);
    this.layers(this.document.layers.map(changed), kind && `${this.selected} ${kind}`);
  }

  remove() {
    this.layers(this.document.layers.filter(({ id }) => id !== this.selected));
  }

  // Moves the selected layer up (1) or down (-1) among the others.
  shift(by) {
    const layers = [...this.document.layers];
    const from = layers.findIndex(({ id }) => id === this.selected);
    const to = from + by;
    if (from < 0 || to < 0 || to >= layers.length) return;
    layers.splice(to, 0, ...layers.splice(from, 1));
    this.layers(layers);
  }
}
