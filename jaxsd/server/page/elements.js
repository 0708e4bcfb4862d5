// Elements of the page, whose texts follow the language.

import { t } from "./texts.js";

export const at = (id) => document.getElementById(id);

export function made(tag, values = {}, ...inside) {
  const { data = {}, ...own } = values;
  const element = Object.assign(document.createElement(tag), own);
  Object.assign(element.dataset, data);
  if (data.label) element.ariaLabel = t(data.label);
  if (data.title) element.title = t(data.title);
  element.append(...inside);
  return element;
}

// An element that says the text of a key, now and after the language has changed.
export function says(tag, key, values = {}) {
  return made(tag, { ...values, textContent: t(key), data: { text: key, ...values.data } });
}

export function button(key, onclick, values = {}) {
  const one = says("button", key, { type: "button", ...values });
  one.onclick = onclick;
  return one;
}

export function labelled(key, input) {
  return made("label", {}, says("span", key), input);
}

export function number(value, { min, max, step = 1 }) {
  return made("input", { type: "number", min, max, step, value });
}

export function slider(value, { min, max, step = 1 }) {
  return made("input", { type: "range", min, max, step, value });
}

export function chosen(keys, value) {
  const options = Object.entries(keys).map(([one, key]) => says("option", key, { value: one }));
  const select = made("select", {}, ...options);
  select.value = value;
  return select;
}

// Buttons of which one is pressed.
export function choices(keys, value, onchoose) {
  const box = made("div", { className: "choices", role: "group" });
  const press = (name) => {
    for (const one of box.children) one.ariaPressed = String(one.dataset.value === name);
    box.value = name;
  };
  for (const [name, key] of Object.entries(keys)) {
    const choose = () => {
      press(name);
      onchoose(name);
    };
    box.append(button(key, choose, { data: { value: name } }));
  }
  box.press = press;
  press(value);
  return box;
}

export function complain(error) {
  at("error").textContent = error.message;
  at("error").scrollIntoView({ block: "nearest" });
}

export function quiet() {
  at("error").textContent = "";
}

// A handler whose errors are told to the user.
export const trying =
  (act) =>
  async (...values) => {
    try {
      return await act(...values);
    } catch (error) {
      complain(error);
    }
  };
