// Texts of the page in the user's language.

const LANGUAGES = ["en", "zh"];
const ATTRIBUTES = { label: "ariaLabel", placeholder: "placeholder", title: "title" };
let texts = {};
export let language = "en";

// The text of a key; {name} in it is a value.
export function t(key, values = {}) {
  const text = texts[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (all, name) => values[name] ?? all);
}

export const knows = (key) => key in texts;

export function usual() {
  const kept = localStorage.getItem("language");
  const wanted = [kept, ...navigator.languages.map((one) => one.slice(0, 2))];
  return wanted.find((one) => LANGUAGES.includes(one)) ?? LANGUAGES[0];
}

// Takes a language, and says everything on the page in it.
export async function speak(name) {
  const answer = await fetch(`page/${name}.json`);
  texts = await answer.json();
  language = name;
  document.documentElement.lang = name;
  for (const one of document.querySelectorAll("[data-text]")) {
    one.textContent = t(one.dataset.text);
  }
  for (const [kind, attribute] of Object.entries(ATTRIBUTES)) {
    for (const one of document.querySelectorAll(`[data-${kind}]`)) {
      one[attribute] = t(one.dataset[kind]);
    }
  }
  dispatchEvent(new Event("languagechanged"));
}
