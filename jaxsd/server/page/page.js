// The page of `jaxsd serve`: a form made of the server's own schema, jobs with events, a gallery.

const API = "jaxsd/v1";
const ask = document.querySelector("#ask");
const at = (id) => document.getElementById(id);
const FILES = ["image", "mask"]; // options that are made of files here
let options = {};

async function call(path, init = {}) {
  const answer = await fetch(path, init);
  if (answer.status === 204) return null;
  const said = await answer.json();
  if (!answer.ok) throw new Error(said.error?.message ?? said.detail ?? answer.statusText);
  return said;
}

const post = (path, value) =>
  call(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(value),
  });

function made(tag, values = {}, ...inside) {
  const element = Object.assign(document.createElement(tag), values);
  element.append(...inside);
  return element;
}

// --- The form ---------------------------------------------------------------------------------

function field(name, said) {
  const type = [said.type].flat()[0];
  let input;
  if (said.enum) {
    input = made("select", {}, ...said.enum.map((one) => made("option", { value: one }, one)));
    input.value = said.default;
  } else if (type === "boolean") {
    input = made("input", { type: "checkbox", checked: said.default === true });
  } else if (type === "integer" || type === "number") {
    input = made("input", { type: "number", step: type === "integer" ? 1 : "any" });
    input.placeholder = said.default ?? "auto";
    if (said.minimum !== undefined) input.min = said.minimum;
    if (said.maximum !== undefined) input.max = said.maximum;
  } else {
    input = made("input", { type: "text", placeholder: [said.default ?? ""].flat().join(" ") });
  }
  input.name = name;
  input.title = said.description;
  return made("label", { title: said.description }, name.replaceAll("_", " "), input);
}

function valueOf(input) {
  const said = options[input.name] ?? {};
  const type = [said.type].flat()[0];
  if (type === "boolean") return input.checked === said.default ? undefined : input.checked;
  const text = input.value;
  if (text === "" || (said.enum && text === said.default)) return undefined;
  if (type === "integer" || type === "number") return Number(text);
  if (type === "array" && said.items?.type !== "string") return text.trim().split(/[\s,]+/).map(Number);
  if (type === "array") return text.split("\n").filter(Boolean);
  return text;
}

function base64Of(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(new Error(`${file.name} can not be read`));
    reader.readAsDataURL(file);
  });
}

async function wanted() {
  const values = {};
  for (const input of ask.elements) {
    if (!input.name) continue;
    const value = valueOf(input);
    if (value !== undefined) values[input.name] = value;
  }
  if (values.sampler && at("schedule").value) values.sampler += `_${at("schedule").value}`;
  for (const name of FILES) {
    const [file] = at(name).files;
    if (file) values[name] = await base64Of(file);
  }
  return values;
}

function fill(settings) {
  at("schedule").value = "";
  for (const input of ask.elements) {
    if (!(input.name in settings)) continue;
    const value = settings[input.name];
    const said = options[input.name] ?? {};
    if (input.type === "checkbox") {
      input.checked = value;
    } else if (input.id === "sampler") {
      chooseSampler(value ?? "");
    } else {
      const usual = JSON.stringify(value) === JSON.stringify(said.default);
      input.value = usual && !said.enum ? "" : [value ?? ""].flat().join(" ");
    }
  }
  scrollTo({ top: 0, behavior: "smooth" });
}

function chooseSampler(name) {
  const known = [...at("sampler").options].map((one) => one.value);
  const longest = known.filter((one) => name.startsWith(one)).sort((a, b) => b.length - a.length)[0];
  at("sampler").value = longest ?? "";
  if (longest) at("schedule").value = name.slice(longest.length + 1);
}

// --- Jobs -------------------------------------------------------------------------------------

function follow(job, title) {
  const picture = made("img", { alt: "" });
  const bar = made("progress", { max: 1, value: job.progress ?? 0 });
  const text = made("p", { className: "hint" }, "begins");
  const cancel = made("button", { type: "button" }, "Cancel");
  const box = made("div", {}, picture, made("div", {}, made("p", {}, title), bar, text), cancel);
  at("jobs").prepend(box);
  cancel.onclick = () => post(`${API}/jobs/${job.id}/cancel`).catch(complain);
  const events = new EventSource(`${API}/jobs/${job.id}/events?preview=true`);
  const over = (event) => {
    events.close();
    box.remove();
    const said = JSON.parse(event.data);
    if (said.error) complain(new Error(said.error));
    show(said);
  };
  events.addEventListener("progress", (event) => {
    const said = JSON.parse(event.data);
    bar.value = said.progress;
    const place = said.queue_position;
    text.textContent =
      place === null ? `${Math.round(100 * said.progress)}%` : `${place} before it`;
  });
  events.addEventListener("preview", (event) => {
    picture.src = JSON.parse(event.data).data;
  });
  for (const name of ["completed", "failed", "cancelled"]) events.addEventListener(name, over);
}

function complain(error) {
  at("error").textContent = error.message;
}

async function draw() {
  at("error").textContent = "";
  try {
    const values = await wanted();
    follow(await post(`${API}/jobs`, values), values.prompt ?? "");
  } catch (error) {
    complain(error);
  }
}

// --- Gallery ----------------------------------------------------------------------------------

function show(job, last = false) {
  for (const one of job.images) {
    if (!one.url || at(one.id)) continue;
    const prompt = one.settings?.prompt ?? "";
    const image = made("img", { src: `.${one.url}`, alt: prompt, loading: "lazy" });
    const button = made("button", { id: one.id, type: "button", title: prompt }, image);
    button.onclick = () => open(job.id, one.id, one.url);
    at("gallery")[last ? "append" : "prepend"](button);
  }
}

async function open(jobId, id, url) {
  const job = await call(`${API}/jobs/${jobId}`).catch(complain);
  if (!job) return;
  const { settings } = job.images.find((one) => one.id === id);
  const dialog = at("shown");
  const changed = Object.entries(settings).filter(
    ([name, value]) =>
      ![null, ""].includes([value].flat()[0] ?? null) &&
      JSON.stringify(value) !== JSON.stringify(options[name]?.default),
  );
  dialog.querySelector("img").src = `.${url}`;
  dialog.querySelector("pre").textContent = changed
    .map(([name, value]) => `${name}: ${[value].flat().join(" ")}`)
    .join("\n");
  at("save").href = `.${url}`;
  at("again").onclick = () => {
    fill(settings);
    dialog.close();
  };
  at("delete").onclick = async () => {
    await call(`${API}/jobs/${jobId}`, { method: "DELETE" }).catch(complain);
    for (const one of job.images) at(one.id)?.remove();
    dialog.close();
  };
  dialog.showModal();
}

// --- Begin ------------------------------------------------------------------------------------

async function restore(file) {
  try {
    fill((await post(`${API}/settings`, { image: await base64Of(file) })).settings);
  } catch (error) {
    complain(error);
  }
}

async function begin() {
  const [schema, models, samplers, schedules] = await Promise.all([
    call(`${API}/options`),
    call("v1/models"),
    call("sdapi/v1/samplers"),
    call("sdapi/v1/schedulers"),
  ]);
  options = schema.properties;
  at("model").append(...models.data.map((one) => made("option", { value: one.id }, one.id)));
  at("sampler").append(
    ...samplers.map((one) => made("option", { value: one.aliases[0] }, one.name)),
  );
  at("schedule").append(
    ...schedules.slice(2).map((one) => made("option", { value: one.name }, one.label)),
  );
  const here = new Set([...ask.elements].map((one) => one.name));
  const others = Object.entries(options).filter(
    ([name, said]) => !here.has(name) && !said.contentEncoding && said.items?.type !== "object",
  );
  at("others").append(...others.map(([name, said]) => field(name, said)));
  for (const job of await call(`${API}/jobs`)) {
    if (job.status === "queued" || job.status === "in_progress") follow(job, "");
    else show(job, true);
  }
}

ask.addEventListener("submit", (event) => {
  event.preventDefault();
  draw();
});
addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) draw();
});
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => {
  event.preventDefault();
  const [file] = event.dataTransfer.files;
  if (file) restore(file);
});
begin().catch(complain);
