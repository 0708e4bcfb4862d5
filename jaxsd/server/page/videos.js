// Videos: a walk from the prompt to others, as jobs of their own, and where they are watched.

import * as api from "./api.js";
import { at, button, complain, labelled, made, number, says, trying } from "./elements.js";
import { t } from "./texts.js";

const LOOK_EVERY = 1000; // milliseconds
const SECONDS = 4;
const RATE = 12; // frames a second
// Options of the page's form that no video has.
export const NOT_OF_VIDEOS = ["num_images", "format", "deadline", "priority"];
let then, seconds, rate, loop;

export function makeVideos() {
  then = made("textarea", { rows: 2, id: "video-then" });
  then.dataset.placeholder = "video.example";
  then.placeholder = t("video.example");
  seconds = number(SECONDS, { min: 0.5, max: 60, step: 0.5 });
  rate = number(RATE, { min: 1, max: 60 });
  loop = made("input", { type: "checkbox" });
  at("video").append(
    labelled("video.then", then),
    says("p", "video.hint", { className: "hint" }),
    made(
      "div",
      { className: "row" },
      labelled("video.seconds", seconds),
      labelled("video.rate", rate),
      labelled("video.loop", loop),
    ),
  );
}

// Begins a video of the options of a picture. The prompt is its first key frame.
export async function beginVideo({ prompt = "", ...values }) {
  const lines = [prompt.replaceAll("\n", " "), ...then.value.split("\n")];
  const more = { seconds: Number(seconds.value), fps: Number(rate.value), loop: loop.checked };
  const keys = lines.filter((one) => one.trim()).join("\n");
  return showVideo(await api.beginVideo({ ...values, ...more, prompt: keys }));
}

export async function showVideos() {
  const { data } = await api.videos();
  for (const one of data.toReversed()) if (one.status !== "failed") showVideo(one);
}

// A card for a video: how far it is, and then its player.
function showVideo(video) {
  const bar = made("progress", { max: 100, ariaLabel: video.prompt });
  const text = made("p", { className: "hint" });
  const place = made("div", {}, bar, text);
  const card = made(
    "article",
    { className: "film panel" },
    made("p", { className: "prompts" }, video.prompt),
    place,
  );
  const forget = trying(async () => {
    await api.deleteVideo(video.id);
    card.remove();
  });
  const actions = made("p", { className: "actions" }, button("cancel", forget));
  card.append(actions);
  at("videos").prepend(card);
  const play = () => {
    const url = api.videoFile(video.id);
    const player = made("video", { src: url, controls: true, loop: true, preload: "none" });
    Object.assign(player, { poster: `${url}?variant=thumbnail`, ariaLabel: video.prompt });
    place.replaceChildren(player);
    const save = says("a", "save", { className: "button", href: url });
    save.download = `${video.seed}.mp4`;
    actions.replaceChildren(save, button("delete", forget));
  };
  follow(video, {
    progress: (now) => {
      bar.value = now.progress;
      const queued = now.status === "queued";
      text.textContent = queued ? t("video.queued") : `${now.progress}%`;
    },
    done: play,
    failed: (error) => {
      card.remove();
      complain(error);
    },
    watched: () => card.isConnected,
  });
  return card;
}

async function follow(video, on) {
  let now = video;
  while (on.watched()) {
    if (now.status === "completed") return on.done();
    if (now.error) return on.failed(new Error(now.error.message));
    on.progress(now);
    await new Promise((done) => setTimeout(done, LOOK_EVERY));
    now = await api.video(video.id).catch((error) => ({ error }));
  }
}
