// The form: fields made of the server's schema, their values, and how they are filled in again.

import * as api from "./api.js";
import { at, made, says, trying } from "./elements.js";
import { dataUrlOf } from "./pictures.js";
import { knows, t } from "./texts.js";

// Options that have panels of their own.
const PANELS = ["image", "mask", "outpaint", "control"];
// Options that stand in sight of everyone.
const BASICS = ["steps", "guidance_scale", "width", "height", "seed", "num_images"];
const STEPS = { width: 8, height: 8, guidance_scale: 0.1, strength: 0.05 };
let options = {};
const given = {}; // pictures of other options, as data: URLs

export const optionOf = (name) => options[name];
export const typeOf = (name) => [options[name]?.type].flat()[0];

export function nameOf(name) {
  return knows(`option.${name}`) ? t(`option.${name}`) : name.replaceAll("_", " ");
}

// An element that says what an option is called.
export function named(tag, name, values = {}) {
  const key = `option.${name}`;
  return knows(key) ? says(tag, key, values) : made(tag, values, nameOf(name));
}

// Options that a number or a word is given for, which a grid can go along.
export function axes() {
  const kinds = ["number", "integer", "string"];
  const closed = (said) => said.enum || said.type !== "string";
  return Object.keys(options).filter(
    (name) =>
      kinds.includes(typeOf(name)) &&
      !["format", "deadline", "num_images", "model", "negative_prompt"].includes(name) &&
      !options[name].contentEncoding &&
      (closed(options[name]) || ["prompt", "sampler"].includes(name)),
  );
}

export function field(name) {
  const said = options[name];
  const type = typeOf(name);
  const usual = [said.default ?? ""].flat().join(" ");
  const ends = { min: said.minimum ?? "", max: said.maximum ?? "" };
  let input;
  if (said.contentEncoding) {
    input = made("input", { type: "file", accept: "image/*" });
    input.onchange = trying(async () => {
      given[name] = input.files[0] && (await dataUrlOf(input.files[0]));
    });
  } else if (said.enum) {
    input = made("select", {}, ...said.enum.map((one) => made("option", { value: one }, one)));
    input.value = said.default;
  } else if (name === "refiner") {
    input = made("select"); // filled for each model
  } else if (type === "boolean") {
    input = made("input", { type: "checkbox", checked: said.default === true });
  } else if (type === "integer" || type === "number") {
    const step = STEPS[name] ?? (type === "integer" ? 1 : "any");
    input = made("input", { type: "number", step, placeholder: usual || t("auto"), ...ends });
    if (!usual) input.dataset.placeholder = "auto";
    if (STEPS[name] > 1) input.min = STEPS[name];
  } else if (name === "region") {
    input = made("textarea", { rows: 2 }); // a line for each
  } else {
    input = made("input", { type: "text", placeholder: usual });
  }
  if (name === "seed") {
    input.placeholder = t("seed.any");
    input.dataset.placeholder = "seed.any";
  }
  input.name = name;
  return made("label", { title: said.description ?? "" }, named("span", name), input);
}

export function valueOf(input) {
  const said = options[input.name] ?? {};
  const type = typeOf(input.name);
  if (input.type === "file") return given[input.name];
  if (type === "boolean") return input.checked === said.default ? undefined : input.checked;
  const text = input.value;
  if (text === "" || (said.enum && text === said.default)) return undefined;
  return parsed(input.name, text);
}

// The value of an option that a text stands for.
export function parsed(name, text) {
  const type = typeOf(name);
  const number = (one) => {
    if (!Number.isNaN(Number(one))) return Number(one);
    throw new Error(t("error.number", { name: nameOf(name), text: one }));
  };
  if (type === "integer" || type === "number") return number(text);
  if (type !== "array") return text;
  const lines = options[name].items?.type === "string";
  return lines ? text.split("\n").filter(Boolean) : text.trim().split(/[\s,]+/).map(number);
}

// What is asked for, but for the pictures of tasks. Fields that the task does not show say nothing.
export function values() {
  const found = {};
  for (const input of at("ask").elements) {
    if (!input.name || input.closest("[hidden]")) continue;
    const value = valueOf(input);
    if (value !== undefined) found[input.name] = value;
  }
  if (found.sampler && at("schedule").value) found.sampler += `_${at("schedule").value}`;
  return found;
}

export function fill(settings) {
  at("schedule").value = "";
  for (const input of at("ask").elements) {
    if (!(input.name in settings) || input.type === "file") continue;
    const value = settings[input.name];
    const said = options[input.name] ?? {};
    if (input.type === "checkbox") {
      input.checked = value;
    } else if (input.id === "sampler") {
      chooseSampler(value ?? "");
    } else {
      const usual = JSON.stringify(value) === JSON.stringify(said.default);
      const between = said.items?.type === "string" ? "\n" : " ";
      input.value = usual && !said.enum ? "" : [value ?? ""].flat().join(between);
    }
  }
  if ("seed" in settings) at("ask").elements.seed.value = settings.seed;
}

function chooseSampler(name) {
  const known = [...at("sampler").options].map((one) => one.value);
  const longest = known
    .filter((one) => one && name.startsWith(one))
    .sort((a, b) => b.length - a.length)[0];
  at("sampler").value = longest ?? "";
  if (longest) at("schedule").value = name.slice(longest.length + 1);
}

// Makes the fields; those of tasks go to their panel.
export async function makeForm(ofTasks) {
  const [found, samplers, schedules] = await Promise.all([
    api.options(),
    api.samplers(),
    api.schedules(),
  ]);
  options = found;
  const option = ([value, shown]) => made("option", { value }, shown);
  at("sampler").append(...samplers.map(option));
  at("schedule").append(...schedules.map(option));
  at("basics").append(...BASICS.map(field));
  at("task-options").append(...ofTasks.map(field));
  const here = new Set([...at("ask").elements].map((one) => one.name));
  const others = Object.keys(options).filter(
    (name) =>
      !here.has(name) && !PANELS.includes(name) && options[name].items?.type !== "object",
  );
  at("others").append(...others.map(field));
  at("find-option").oninput = find;
  at("find-option").onkeydown = (event) => {
    if (event.key === "Enter") event.preventDefault();
  };
}

// The refiners of a model; without any, their options say nothing.
export function offerRefiners(names) {
  const { refiner, refiner_start } = at("ask").elements;
  const all = names.map((one) => made("option", { value: one }, one));
  refiner.replaceChildren(says("option", "refiner.none", { value: "" }), ...all);
  for (const one of [refiner, refiner_start]) one.closest("label").hidden = !names.length;
}

// Shows the options whose names or descriptions have a text. What is not shown still counts.
function find() {
  const wanted = at("find-option").value.trim().toLowerCase();
  for (const one of at("others").children) {
    const said = `${one.textContent} ${one.lastChild.name} ${one.title}`.toLowerCase();
    one.classList.toggle("unfound", !said.includes(wanted));
  }
}
