// Jobs on their way: their events, their place in the queue, and how they are cancelled.

import * as api from "./api.js";
import { at, button, complain, made, trying } from "./elements.js";
import { t } from "./texts.js";

const STREAMS = 3; // a browser opens six connections to a server at most
const LOOK_EVERY = 1500; // milliseconds, at jobs without a stream
const waiting = [];
let looking = false;

// Follows a job until it is over. `on` has progress(job), preview(url), over(job).
export function follow(job, on) {
  waiting.push({ id: job.id, on, stream: null });
  attend();
}

function attend() {
  for (const one of waiting.slice(0, STREAMS)) one.stream ??= listen(one);
  if (waiting.length > STREAMS && !looking) look();
}

function listen(one) {
  const stream = api.eventsOf(one.id);
  const said = (event) => JSON.parse(event.data);
  stream.addEventListener("progress", (event) => one.on.progress?.(said(event)));
  stream.addEventListener("preview", (event) => one.on.preview?.(said(event).data));
  for (const name of ["completed", "failed", "cancelled"]) {
    stream.addEventListener(name, (event) => end(one, said(event)));
  }
  // A job that is not known any more, or a server that has ended for good.
  stream.onerror = () => {
    if (stream.readyState === EventSource.CLOSED) end(one, { status: "failed", images: [] });
  };
  return stream;
}

function end(one, job) {
  one.stream?.close();
  const place = waiting.indexOf(one);
  if (place >= 0) waiting.splice(place, 1);
  one.on.over?.(job);
  attend();
}

async function look() {
  looking = true;
  for (const one of waiting.slice(STREAMS)) {
    if (one.stream) continue;
    const job = await api.job(one.id).catch(() => null);
    if (!job || one.stream) continue;
    if (["queued", "in_progress"].includes(job.status)) one.on.progress?.(job);
    else end(one, job);
  }
  await new Promise((done) => setTimeout(done, LOOK_EVERY));
  looking = false;
  attend();
}

export function stateOf(job) {
  const before = job.queue_position;
  if (before) return t("before", { count: before });
  if (!job.progress) return t("prepares");
  return `${Math.round(100 * job.progress)}%`;
}

// A card for a job: a preview, how far it is, a button that ends it.
export function showJob(job, title, over) {
  const picture = made("img", { alt: "" });
  const bar = made("progress", { max: 1, value: job.progress ?? 0, ariaLabel: title });
  const text = made("p", { className: "hint" }, stateOf(job));
  const cancel = button("cancel", trying(() => api.cancelJob(job.id)));
  const told = made("div", {}, made("p", {}, title), bar, text);
  const card = made("div", { className: "job panel" }, picture, told, cancel);
  at("jobs").append(card);
  follow(job, {
    progress: (now) => {
      bar.value = now.progress;
      text.textContent = stateOf(now);
    },
    preview: (url) => (picture.src = url),
    over: (now) => {
      card.remove();
      if (now.error) complain(new Error(now.error));
      over(now);
    },
  });
  return card;
}
