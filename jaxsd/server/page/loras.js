// LoRAs that the server has, put into the prompt as <lora:NAME:STRENGTH>.

import { at, button, labelled, made, number } from "./elements.js";

const TAG = /\s*<lora:([^<>:]+)(:[^<>]*)?>/g;

export function makeLoras(names) {
  at("loras").hidden = !names.length;
  const options = names.map((one) => made("option", { value: one }, one));
  const name = made("select", { id: "lora" }, ...options);
  const strength = number(1, { min: -2, max: 2, step: 0.05 });
  const prompt = at("ask").elements.prompt;
  const remove = () => {
    const kept = (tag, own) => (own === name.value ? "" : tag);
    prompt.value = prompt.value.replace(TAG, kept).trim();
  };
  const put = () => {
    remove();
    prompt.value = `${prompt.value} <lora:${name.value}:${strength.value}>`.trim();
  };
  at("loras").append(
    made("div", { className: "row" }, labelled("lora", name), labelled("lora.strength", strength)),
    made("p", { className: "actions" }, button("lora.put", put), button("remove", remove)),
  );
}
