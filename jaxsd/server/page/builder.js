// The prompt builder: chips of subject, style, light and colour that write the prompt.

import * as api from "./api.js";
import { at, made, says } from "./elements.js";
import { language } from "./texts.js";

let words = {}; // tables of chips, by the built-in model's name or "any"
let shown = "any";
let picked = {}; // group -> words
let written = ""; // what the builder has put into the prompt

export async function makeBuilder() {
  words = await api.table("words");
  addEventListener("languagechanged", draw);
}

// Shows what a model knows.
export function offerWords(model) {
  shown = model.built_in in words ? model.built_in : "any";
  picked = {};
  written = "";
  draw();
}

function draw() {
  const groups = Object.entries(words[shown].groups).map(([group, chips]) =>
    made(
      "fieldset",
      { className: "chips" },
      says("legend", `builder.${group}`),
      ...Object.entries(chips).map(([word, chinese]) => chip(group, word, chinese)),
    ),
  );
  const hint = says("p", `builder.hint.${shown}`, { className: "hint" });
  at("builder").replaceChildren(at("builder").firstElementChild, hint, ...groups);
}

function chip(group, word, chinese) {
  const one = made("button", { type: "button", title: word }, language === "zh" ? chinese : word);
  one.ariaPressed = String(picked[group] === word);
  one.onclick = () => {
    picked[group] = picked[group] === word ? undefined : word;
    for (const other of one.parentElement.querySelectorAll("button")) {
      other.ariaPressed = String(other === one && picked[group] === word);
    }
    write();
  };
  return one;
}

// Each group has a form, such as " on a {word} background"; together they are the prompt.
function write() {
  const { forms } = words[shown];
  const parts = Object.entries(forms)
    .filter(([group]) => picked[group])
    .map(([group, form]) => form.replace("{word}", picked[group]));
  const next = parts.join("").replace(/^, |^ /, "");
  const prompt = at("ask").elements.prompt;
  if (written && prompt.value.includes(written)) {
    prompt.value = prompt.value.replace(written, () => next);
  } else {
    prompt.value = [prompt.value.trim(), next].filter(Boolean).join(", ");
  }
  written = next;
}
