// One result large: the picture, the player at its moment, the sound, the passage; and the facts.

import { asset, explain, reveal, root } from "./api.js";
import { scoreBar } from "./cards.js";
import { $, KIND, bytes, clock, closable, h, icon, markedAs, span, taken, town } from "./dom.js";
import { draw, peaksOf } from "./sound.js";
import * as stages from "./stage.js";
import { timeline } from "./timeline.js";

const dialog = closable($("#viewer"));
const stage = $(".stage", dialog);
const facts = $(".facts", dialog);
let shown = null;
let quiet = false;
let does = {};

const screen = stages.setUp(stage, (by) => step(by));

/** `acts`: fail(error), words(): the texts of the query; moments(hit): all that it finds in a file; more(hit), less(hit), neighbour(hit, by), moved(hit) to another, closed() by the person. */
export function setUp(acts) { does = acts; }

function step(by) {
  const next = does.neighbour(shown.hit, by);
  if (!next) return;
  open(next);
  does.moved(next);
}

/** Close without a word to `closed`. */
export function close() {
  if (!dialog.open) return;
  quiet = true;
  dialog.close();
}

dialog.addEventListener("click", (event) => {
  const what = event.target.closest("[data-does]")?.dataset.does;
  if (what === "prev") step(-1);
  if (what === "next") step(1);
  if (what === "zoom") screen.turn();
  if (what === "fill") screen.fill();
  if (what === "light") turnLight();
});
dialog.addEventListener("keydown", (event) => {
  if (event.target.closest("video, audio, input")) return;
  if (event.key === "ArrowLeft") step(-1);
  if (event.key === "ArrowRight") step(1);
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "z") screen.turn();
  if (event.key === "f") screen.fill();
  if (event.key === "w") turnLight();
});
dialog.addEventListener("close", () => {
  stage.replaceChildren();
  shown = null;
  if (!quiet) does.closed();
  quiet = false;
});

export function open(hit) {
  shown = { hit };
  for (const [name, by] of [["prev", -1], ["next", 1]]) $(`[data-does="${name}"]`, dialog).disabled = !does.neighbour(hit, by);
  $("#viewed").textContent = hit.name;
  screen.reset();
  stage.replaceChildren(large(hit));
  $('[data-does="light"]', dialog).hidden = true;
  showLight(hit);
  $(".timeline", dialog)?.remove();
  facts.replaceChildren(about(hit), actions(hit));
  $('[data-does="zoom"]', dialog).hidden = !$(".picture", stage);
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
  asset(hit.asset_id).then((found) => { if (shown?.hit === hit) complete(hit, found); }, () => {});
}

// --- what made the hit ---

let lit = true;
try { lit = localStorage.getItem("light") !== "off"; } catch { /* storage may be off */ }

function turnLight() {
  lit = !lit;
  try { localStorage.setItem("light", lit ? "on" : "off"); } catch { /* storage may be off */ }
  applyLight();
}

function applyLight() {
  const veil = $(".veil", stage);
  if (veil) veil.hidden = !lit;
  $('[data-does="light"]', dialog).setAttribute("aria-pressed", lit);
}

/** Veil what did not make the hit: in a photo the patches, in a sound the moments. */
async function showLight(hit) {
  const isSound = hit.modality === "audio";
  if (hit.score === null || hit.box || !(isSound ? hit.by.includes("sound") : hit.modality === "image" && hit.by.includes("sight"))) return;
  const words = does.words();
  if (!words.length) return;
  const found = await explain(hit.asset_id, words, hit).catch(() => null);
  if (shown?.hit !== hit || !found) return;
  const rows = isSound ? [found.steps] : found.patches;
  if (!(Math.max(...rows.flat()) > 0.5)) return;
  const canvas = h("canvas.veil", { "aria-hidden": "true", width: rows[0].length, height: rows.length });
  const pen = canvas.getContext("2d");
  rows.forEach((row, y) => row.forEach((value, x) => { pen.fillStyle = `rgb(0 0 0 / ${0.62 * (1 - value)})`; pen.fillRect(x, y, 1, 1); }));
  if (isSound) canvas.style.width = `${Math.min(100, (100 * found.step_s * found.steps.length) / ((hit.stop_s ?? hit.duration_s) - found.start_s))}%`;
  $(isSound ? ".spectrogram" : ".picture", stage).append(canvas);
  $('[data-does="light"]', dialog).hidden = false;
  applyLight();
}

const sized = (hit, px) => `${hit.thumbnail}${hit.thumbnail.includes("?") ? "&" : "?"}px=${px}`;

function large(hit) {
  if (hit.modality === "image" || (hit.modality === "text" && hit.thumbnail)) {
    // Drawn by the service: browsers do not show HEIC, TIFF or camera RAW, nor one page of a PDF.
    return h("div.picture", {}, h("img", { alt: hit.name, src: sized(hit, 1600) }), box(hit));
  }
  if (hit.modality === "text" && hit.page && hit.name.toLowerCase().endsWith(".pdf")) return besidePage(hit);
  if (hit.modality === "text") return h("blockquote", { tabIndex: 0 }, h("p", {}, markedAs(hit, hit.text ?? "")));
  return hit.modality === "video" ? film(hit) : sound(hit);
}

/** A passage, and the page that it stands on. */
function besidePage(hit) {
  const page = h("img", { alt: `Page ${hit.page} of ${hit.name}`, src: `${root}/v1/assets/${hit.asset_id}/thumbnail?page=${hit.page}&px=1600` });
  page.addEventListener("error", () => page.remove(), { once: true });
  return h("div.beside", {}, h("blockquote", { tabIndex: 0 }, h("p", {}, markedAs(hit, hit.text ?? ""))), page);
}

/** A frame around the writing that was found. */
function box({ box: place, text }) {
  if (!place) return null;
  const [left, top, right, bottom] = place.map((share) => `${100 * share}%`);
  const drawn = h("span.box", { title: text ?? "" });
  Object.assign(drawn.style, { left, top, right: `calc(100% - ${right})`, bottom: `calc(100% - ${bottom})` });
  return drawn;
}

/** What is said and written, line by line; a click plays from there. */
function showWords(hit, found) {
  if (hit.modality === "text" || !found.words.length) return;
  const player = $("video, audio", stage);
  const rows = found.words.map((one) => {
    const told = [one.start_s === null ? "" : h("span", {}, clock(one.start_s)), h("q", {}, ...markedAs(hit, one.text ?? ""))];
    const plays = player && one.start_s !== null;
    const row = plays
      ? h("button", { type: "button", onclick: () => { player.currentTime = one.start_s; player.play(); } }, ...told)
      : h("p", {}, ...told);
    row.classList.toggle("matched", one.segment_id === hit.segment_id);
    row.title = [one.origin, one.language].filter(Boolean).join(", ");
    return h("li", {}, row);
  });
  const list = h("ol.words", { "aria-label": "What is said and written" }, rows);
  facts.append(list);
  const matched = $(".matched", list);
  if (matched) list.scrollTop = matched.offsetTop - list.offsetTop - list.clientHeight / 2;
}

function film(hit) {
  const player = h("video", { controls: true, playsInline: true, poster: hit.thumbnail, src: hit.media, "aria-label": hit.name });
  begin(player, hit);
  player.addEventListener("error", () => {
    const still = h("img", { alt: `${hit.name} at ${span(hit)}`, src: sized(hit, 1280) });
    player.replaceWith(h("div", {}, still, h("p", {}, "This browser cannot play this file. Download it to watch it.")));
  }, { once: true });
  return player;
}

function sound(hit) {
  const picture = h("img", { alt: `Spectrogram of ${hit.name}`, src: sized(hit, 1200) });
  const canvas = h("canvas", { "aria-hidden": "true" });
  const player = h("audio", { controls: true, src: hit.media, "aria-label": hit.name });
  begin(player, hit);
  peaksOf(hit.asset_id).then((wave) => {
    const lit = hit.start_s === null ? null : [hit.start_s, hit.stop_s];
    const paint = () => draw(canvas, wave, { lit, at: player.currentTime });
    player.addEventListener("timeupdate", paint);
    canvas.addEventListener("click", (event) => {
      player.currentTime = (event.offsetX / canvas.clientWidth) * wave.stop_s;
      player.play();
    });
    paint();
  }, () => canvas.remove());
  return h("div.sound", {}, h("div.spectrogram", {}, picture), canvas, player);
}

function begin(player, hit) {
  player.addEventListener("loadedmetadata", () => { player.currentTime = hit.start_s ?? 0; }, { once: true });
  player.autoplay = true;
}

function about(hit) {
  const size = hit.width_px ? `${hit.width_px} × ${hit.height_px}` : "";
  return h("dl", {}, lines([
    ["Kind", KIND[hit.modality] + (hit.modality === "text" && hit.matched === "image" ? " (found by its pages)" : "")],
    ["Found by", hit.by.join(", ")],
    ["Language", hit.language],
    ["Score", hit.score === null ? "" : scoreBar(hit.score)],
    ["Moment", span(hit)],
    ["Page", hit.page],
    ["Folder", hit.folder],
    ["Length", hit.duration_s ? clock(hit.duration_s) : ""],
    ["Size", size],
    ["Taken", taken(hit.taken_at, true)],
    ["Place", town(hit)],
    ["Camera", hit.camera],
    ["People", hit.people],
    ...hit.why.map((term) => [term.exclude ? `Without “${term.part}”` : `“${term.part}”`, `${term.score.toFixed(2)} ${term.route} ${term.words}`]),
  ]));
}

/** The whole text around the passage that was found, as far as the service tells it. */
function showWhole(hit, segments) {
  if (!segments.some((one) => one.segment_id === hit.segment_id)) return;
  let before = "";
  const paragraphs = segments.filter((one) => one.text).map((one) => {
    const repeated = overlap(before, one.text);
    before = one.text;
    const matched = one.segment_id === hit.segment_id;
    return h(matched ? "p.matched" : "p", {}, markedAs(hit, one.text.slice(repeated)));
  });
  $("blockquote", stage).replaceChildren(...paragraphs);
  const matched = $(".matched", stage);
  ($("mark", matched) ?? matched).scrollIntoView({ block: "center" });
}

/** How many letters a passage repeats of the end of the one before. */
function overlap(before, text) {
  for (let n = Math.min(before.length, text.length, 600); n > 10; n -= 1) {
    if (before.endsWith(text.slice(0, n))) return n;
  }
  return 0;
}
const lines = (pairs) => pairs.filter(([, value]) => value).flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]);

function actions(hit) {
  const then = (act) => () => { close(); act(hit); };
  return h(
    "div",
    {},
    h(
      "div.row",
      {},
      ...(hit.segment_id === null ? [] : [
        h("button", { type: "button", onclick: then(does.more) }, icon("more"), "More like this"),
        h("button", { type: "button", onclick: then(does.less) }, icon("less"), "Not this"),
      ]),
      h("a", { href: `${hit.media}?download=true`, download: hit.name }, icon("down"), "Download"),
      ...(reveals ? [
        h("button", { type: "button", onclick: () => reveal(hit.asset_id, true).catch(does.fail) }, icon("folder"), "Show in folder"),
        h("button", { type: "button", onclick: (event) => copyPath(hit, event.currentTarget) }, icon("copy"), "Copy path"),
      ] : []),
    ),
  );
}

let reveals = false;
/** Whether this page may show where files lie. */
export function setReveals(yes) { reveals = yes; }

async function copyPath(hit, button) {
  try {
    const { path } = await reveal(hit.asset_id, false);
    await navigator.clipboard.writeText(path);
    button.lastChild.textContent = "Copied";
  } catch (error) {
    does.fail(error);
  }
}

/** How many tracks a file has, where it has several of a kind; two of each are searched. */
const tracks = ({ video_tracks: videos, sound_tracks: sounds }) => [videos && `${videos} videos`, sounds && `${sounds} sounds`].filter(Boolean).join(", ");

function complete(hit, found) {
  const list = $("dl", facts);
  const others = found.places.filter((place) => place.name !== hit.name || place.folder !== hit.folder);
  list.append(...lines([
    ["File", `${found.format.toUpperCase()}, ${bytes(found.size_bytes)}`],
    ["Tracks", tracks(found.details)],
    ["Also in", others.map((place) => `${place.folder}/${place.name}`).join(", ")],
    ["Similar files", hit.duplicates.map((place) => `${place.folder}/${place.name}`).join(", ")],
  ]));
  if (hit.modality === "text" && !hit.thumbnail) showWhole(hit, found.segments);
  showMoments(hit);
  showWords(hit, found);
}

/** All moments of the query on a line of time below the player. */
async function showMoments(hit) {
  const player = $("video, audio", stage);
  if (!player || !hit.duration_s) return;
  const moments = await does.moments(hit);
  if (shown?.hit !== hit || !moments.length) return;
  const made = timeline(moments, hit.duration_s, player);
  if (made) facts.before(made);
}
