// One result as a card of the grid.

import { KIND, USUAL, clock, ending, h, icon, marked, pathEnd, span, taken, town } from "./dom.js";
import { tick } from "./selection.js";
import { draw, peaksOf } from "./sound.js";

/** A card. `does` has open(hit), more(hit), less(hit). */
export function card(hit, does) {
  const where = hit.folder ? `, in ${hit.folder}` : "";
  const when = span(hit) ? `, at ${span(hit)}` : "";
  const view = h(
    "button.view",
    {
      type: "button",
      onclick: () => does.open(hit),
      "aria-label": `${hit.name}, ${KIND[hit.modality]}${when}${where}${hit.score === null ? "" : `, score ${hit.score.toFixed(2)}`}`,
      "aria-keyshortcuts": "Enter Space + -",
    },
    picture(hit),
    h("span.badge.kind", {}, icon(hit.modality), times(hit), heard(hit)),
    badge("copies", hit.duplicates.length ? `+${hit.duplicates.length} similar` : ""),
  );
  const made = h(
    "li.card",
    {},
    view,
    tick(hit),
    h(
      "div.about",
      {},
      h("span.name", { title: hit.name }, ending(hit.name, 10)),
      h("span.folder", { title: hit.folder }, hit.id ? "item" : pathEnd(hit.folder)),
      hit.score === null ? null : facts(hit),
      hit.score === null ? null : scoreBar(hit.score),
    ),
    hit.score === null ? null : h(
      "div.acts",
      {},
      h("button", { type: "button", onclick: () => does.more(hit), "aria-label": `More like ${hit.name}` }, icon("more"), h("span", {}, "More like this")),
      h("button", { type: "button", onclick: () => does.less(hit), "aria-label": `Not like ${hit.name}` }, icon("less"), h("span", {}, "Not this")),
    ),
  );
  made.hit = hit;
  if (hit.modality === "video") playsOnHover(made, view, hit);
  if (hit.modality === "audio") showsWaveform(view, hit);
  return made;
}

/** When and where it was taken, and with what. */
function facts(hit) {
  const told = [taken(hit.taken_at), town(hit), hit.camera].filter(Boolean).join(" · ");
  return told ? h("span.when", { title: told }, told) : null;
}

function times(hit) {
  const told = span(hit) || (hit.duration_s && hit.modality !== "text" ? clock(hit.duration_s) : "");
  return told ? h("span", {}, told) : null;
}

function heard(hit) {
  const [first] = hit.by;
  return first && first !== USUAL[hit.modality] ? h("span", {}, `by ${first}`) : null;
}

function badge(kind, text) {
  return text ? h(`span.badge.${kind}`, {}, text) : null;
}

export function scoreBar(score) {
  const bar = h("i", { "aria-hidden": "true" });
  bar.style.setProperty("--score", score);
  return h("span.score", { title: `score ${score.toFixed(2)} of 1` }, bar, h("span.unseen", {}, "score "), score.toFixed(2));
}

function picture(hit) {
  if (!hit.thumbnail) {
    return h("blockquote", {}, hit.snippet === null ? hit.name : marked(hit.snippet, hit.marks));
  }
  const image = h("img", { alt: "", loading: "lazy", decoding: "async", src: hit.thumbnail });
  image.addEventListener("error", () => image.remove(), { once: true });
  return image;
}

/** Play a card's moment, muted unless it was asked for by key; returns whether it plays now. */
export function togglePlay(made, loud) {
  const playing = made.querySelector("video, audio");
  if (playing && !playing.paused) { playing.remove(); return false; }
  playing?.remove();
  const { hit } = made;
  if (hit.modality !== "video" && hit.modality !== "audio") return false;
  const [start, stop] = [hit.start_s ?? 0, hit.stop_s ?? Infinity];
  const player = h(hit.modality, { muted: !loud, playsInline: true, tabIndex: -1, src: hit.media });
  player.addEventListener("loadedmetadata", () => { player.currentTime = start; });
  player.addEventListener("timeupdate", () => { if (player.currentTime >= stop) player.currentTime = start; });
  player.addEventListener("error", () => player.remove(), { once: true });
  made.querySelector(".view").insertBefore(player, made.querySelector(".badge"));
  player.play().catch(() => player.remove());
  return true;
}

function playsOnHover(made, view, hit) {
  let soon;
  view.addEventListener("pointerenter", (event) => {
    if (event.pointerType !== "mouse" || made.querySelector("video")) return;
    soon = setTimeout(() => togglePlay(made, false), 180);
  });
  view.addEventListener("pointerleave", () => { clearTimeout(soon); made.querySelector("video")?.remove(); });
}

const nearView = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) {
    if (!isIntersecting) continue;
    nearView.unobserve(target);
    const { hit } = target;
    peaksOf(hit.asset_id).then((wave) => draw(target, wave, { from: hit.start_s ?? 0, to: hit.stop_s ?? wave.stop_s }), () => target.remove());
  }
}, { rootMargin: "200px" });

function showsWaveform(view, hit) {
  const canvas = h("canvas", { "aria-hidden": "true" });
  canvas.hit = hit;
  view.insertBefore(canvas, view.querySelector(".badge"));
  nearView.observe(canvas);
}
