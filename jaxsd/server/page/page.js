// The page of `jaxsd serve`: what stands in it, and what its keys and its views do.

import * as api from "./api.js";
import { makeBuilder, offerWords } from "./builder.js";
import { takeHint } from "./controls.js";
import { at, made, quiet, trying } from "./elements.js";
import { makeEditor, openInEditor } from "./editor.js";
import { makeForm, offerRefiners, values } from "./form.js";
import { onEdit, openFile, show } from "./gallery.js";
import * as grid from "./grid.js";
import { showJob } from "./jobs.js";
import { makeLoras } from "./loras.js";
import { canvasOf, chosenFile } from "./pictures.js";
import * as tasks from "./tasks.js";
import { speak, usual } from "./texts.js";
import { beginVideo, showVideos } from "./videos.js";

const VIEWS = ["draw", "editor"];

function view(name) {
  for (const one of VIEWS) {
    at(`${one}-view`).hidden = one !== name;
    at(`to-${one}`).ariaCurrent = one === name ? "page" : null;
  }
  scrollTo(0, 0);
}

const draw = trying(async () => {
  quiet();
  const wanted = { ...values(), ...tasks.taskValues() };
  if (tasks.isVideo()) return (await beginVideo(wanted)).scrollIntoView({ block: "nearest" });
  if (grid.asked()) return grid.drawGrid(wanted);
  const job = await api.beginJob(wanted);
  showJob(job, wanted.prompt ?? "", show).scrollIntoView({ block: "nearest" });
});

function dress(theme) {
  document.documentElement.style.colorScheme = theme || "light dark";
  localStorage.setItem("theme", theme);
}

function listen() {
  at("ask").addEventListener("submit", (event) => {
    event.preventDefault();
    draw();
  });
  for (const one of VIEWS) at(`to-${one}`).onclick = () => view(one);
  at("theme").onchange = () => dress(at("theme").value);
  at("language").onchange = trying(async () => {
    localStorage.setItem("language", at("language").value);
    await speak(at("language").value);
  });
  at("open-file").onclick = trying(async () => {
    const file = await chosenFile();
    if (file) await openFile(file);
  });
  addEventListener("keydown", (event) => {
    const sends = event.key === "Enter" && (event.ctrlKey || event.metaKey);
    if (sends && !at("draw-view").hidden && !at("shown").open) at("ask").requestSubmit();
  });
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => take(event, event.dataTransfer));
  addEventListener("paste", (event) => take(event, event.clipboardData));
}

// A picture that is dropped or pasted: into the panel below it, the editor, or to be looked at.
const take = trying(async (event, brought) => {
  const file = [...brought.files].find((one) => one.type.startsWith("image/"));
  if (event.type === "drop") event.preventDefault();
  if (!file) return;
  event.preventDefault();
  quiet();
  if (!at("editor-view").hidden) openInEditor(await canvasOf(file));
  else if (event.target.closest?.("#start")) tasks.setPicture(await canvasOf(file));
  else if (event.target.closest?.("#control")) takeHint(await canvasOf(file), event.target);
  else await openFile(file);
});

async function begin() {
  at("theme").value = localStorage.getItem("theme") ?? "";
  dress(at("theme").value);
  at("language").value = usual();
  await speak(usual());
  const [offers] = await Promise.all([api.offers(), makeForm(tasks.OPTIONS), makeBuilder()]);
  at("model").append(...offers.models.map(({ name }) => made("option", { value: name }, name)));
  const offer = () => {
    const model = offers.models.find(({ name }) => name === at("model").value);
    tasks.offer(model);
    offerWords(model);
    offerRefiners(model.refiners);
  };
  tasks.makeTasks();
  makeLoras(offers.loras);
  grid.makeGrid();
  makeEditor((canvas) => {
    tasks.setPicture(canvas);
    view("draw");
  });
  onEdit((canvas) => {
    openInEditor(canvas);
    view("editor");
  });
  at("model").onchange = offer;
  offer();
  listen();
  await showVideos();
  for (const job of await api.jobs()) {
    if (["queued", "in_progress"].includes(job.status)) showJob(job, job.prompt ?? "", show);
    else show(job, true);
  }
}

trying(begin)();
