// What the server is asked for.

import { t } from "./texts.js";

const API = "jaxsd/v1";

async function call(path, init = {}) {
  const answer = await fetch(path, init).catch(() => {
    throw new Error(t("error.gone"));
  });
  if (answer.status === 204) return null;
  const said = await answer.json().catch(() => ({}));
  if (answer.ok) return said;
  const error = new Error(said.error?.message ?? said.detail ?? answer.statusText);
  error.seconds = answer.status === 429 ? Number(answer.headers.get("retry-after") ?? 2) : 0;
  throw error;
}

function post(path, value) {
  const headers = { "Content-Type": "application/json" };
  return call(path, { method: "POST", headers, body: JSON.stringify(value) });
}

const wait = (seconds) => new Promise((done) => setTimeout(done, 1000 * seconds));

// Begins a job; where the queue is full, as soon as it is not.
export async function beginJob(values, patient = false) {
  for (;;) {
    try {
      return await post(`${API}/jobs`, values);
    } catch (error) {
      if (!patient || !error.seconds) throw error;
      await wait(error.seconds);
    }
  }
}

export const jobs = () => call(`${API}/jobs?limit=200`);
export const job = (id) => call(`${API}/jobs/${id}`);
export const cancelJob = (id) => post(`${API}/jobs/${id}/cancel`);
export const deleteJob = (id) => call(`${API}/jobs/${id}`, { method: "DELETE" });
export const eventsOf = (id) => new EventSource(`${API}/jobs/${id}/events?preview=true`);
export const beginVideo = (values) => post("v1/videos", values);
export const videos = () => call("v1/videos?limit=20");
export const video = (id) => call(`v1/videos/${id}`);
export const videoFile = (id) => `v1/videos/${id}/content`;
export const deleteVideo = (id) => call(`v1/videos/${id}`, { method: "DELETE" });
export const settingsIn = (image) => post(`${API}/settings`, { image });
export const offers = () => call("page-offers");
export const table = (name) => call(`page/${name}.json`);

// The options of a picture by name, each as JSON Schema has it.
export const options = async () => (await call(`${API}/options`)).properties;

export async function samplers() {
  const said = await call("sdapi/v1/samplers");
  return said.map((one) => [one.aliases[0], one.name]);
}

export async function schedules() {
  const said = await call("sdapi/v1/schedulers");
  return said.slice(2).map((one) => [one.name, one.label]);
}
