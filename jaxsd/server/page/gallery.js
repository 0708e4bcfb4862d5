// Pictures that were drawn, and one of them in the large with what made it.

import * as api from "./api.js";
import { at, complain, made, trying } from "./elements.js";
import { fill, nameOf, optionOf } from "./form.js";
import { canvasOf, dataUrlOf } from "./pictures.js";
import { fillTask, setPicture } from "./tasks.js";
import { t } from "./texts.js";

let edit = () => {};
export const onEdit = (act) => (edit = act);

// Adds the pictures of a job, the newest first unless they are older ones.
export function show(job, older = false) {
  for (const one of job.images ?? []) {
    if (!one.url || at(one.id)) continue;
    const prompt = one.settings?.prompt ?? "";
    const image = made("img", { src: `.${one.url}`, alt: prompt || t("picture"), loading: "lazy" });
    const button = made("button", { id: one.id, type: "button", title: prompt }, image);
    button.onclick = () => open(job.id, one.id, one.url).catch(complain);
    at("gallery")[older ? "append" : "prepend"](button);
  }
  at("nothing").hidden = at("gallery").childElementCount > 0;
}

async function open(jobId, id, url) {
  const job = await api.job(jobId);
  const { settings } = job.images.find((one) => one.id === id);
  const remove = async () => {
    await api.deleteJob(jobId);
    for (const one of job.images) at(one.id)?.remove();
    at("nothing").hidden = at("gallery").childElementCount > 0;
  };
  const name = `${settings.seed}.png`;
  showPicture({ url: `.${url}`, source: `.${url}`, name, settings, remove });
}

// Values that change nothing, of options whose default is the model's.
const NEUTRAL = { strength: 1, noise_level: 0, image_guidance_scale: 1 };

// Options that are not as usual, as [name, text].
function unusual(settings) {
  return Object.entries(settings)
    .filter(([name, value]) => {
      const usual = optionOf(name)?.default;
      const nothing = [null, undefined, ""].includes([value].flat()[0]);
      return !nothing && value !== NEUTRAL[name] && JSON.stringify(value) !== JSON.stringify(usual);
    })
    .map(([name, value]) => [nameOf(name), [value].flat().join(" ")]);
}

// A picture in the large. `source` is a file or an address; without settings none can be used.
function showPicture({ url, source, name, settings, remove, said = "" }) {
  const dialog = at("shown");
  const then = (act) => trying(async () => {
    dialog.close();
    await act();
  });
  dialog.querySelector("img").src = url;
  at("source").textContent = said;
  const told = unusual(settings ?? {});
  at("made-with").replaceChildren(
    ...told.flatMap(([key, text]) => [made("dt", {}, key), made("dd", {}, text)]),
  );
  Object.assign(at("save"), { href: url, download: name });
  at("again").hidden = !settings;
  at("again").onclick = then(() => {
    fill(settings);
    fillTask(settings);
    at("ask").elements.prompt.focus();
  });
  at("begin-with").onclick = then(async () => {
    setPicture(await canvasOf(source));
    at("tasks").scrollIntoView({ block: "nearest" });
  });
  at("edit").onclick = then(async () => edit(await canvasOf(source)));
  at("delete").hidden = !remove;
  at("delete").onclick = remove && then(remove);
  dialog.showModal();
}

// A picture of the user's: what made it is asked of the server.
export async function openFile(file) {
  const told = await read(file);
  const url = URL.createObjectURL(file);
  at("shown").addEventListener("close", () => URL.revokeObjectURL(url), { once: true });
  showPicture({ url, source: file, name: file.name, ...told });
}

async function read(file) {
  try {
    const told = await api.settingsIn(await dataUrlOf(file));
    const left = told.left.length ? t("restored.left", { left: told.left.join(", ") }) : "";
    return { settings: told.settings, said: `${t("restored", { program: told.made_by })} ${left}` };
  } catch (error) {
    return { settings: null, said: error.message };
  }
}
