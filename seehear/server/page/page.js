// The page: a query of words, files and liked results; live answers in a grid.

import * as api from "./api.js";
import * as browse from "./browse.js";
import { askForToken } from "./door.js";
import { $, closable, counted, h } from "./dom.js";
import { addressOf, hitFrom, momentOf } from "./moments.js";
import * as query from "./query.js";
import * as found from "./results.js";
import { save } from "./selection.js";
import { record } from "./sound.js";
import * as trouble from "./trouble.js";
import { update } from "./updating.js";
import * as viewer from "./viewer.js";

const { text } = query;
const results = $("#results");
const state = { k: 40, shown: null, from: -1 };
let running = null;
let soon = 0;
let retry = 0;

// --- asking ------------------------------------------------------------------------------

/** Busy from the first key of a query until its answer stands there. */
function busy(yes) {
  document.body.classList.toggle("busy", yes);
  results.setAttribute("aria-busy", yes);
}

function later(pause = 220) {
  clearTimeout(soon);
  busy(true);
  soon = setTimeout(() => ask({ typing: true }), pause);
}

/** A new query, from the person: it goes into the address. `typing`: the last word may go on. */
async function ask({ typing = false } = {}) {
  await back; // what is asked now belongs to the page after that
  query.remember(typing);
  clearTimeout(resting);
  if (browse.isShown()) scrollTo(0, 0);
  return search(typing);
}

async function search(typing = false) {
  clearTimeout(soon);
  soon = 0;
  clearTimeout(retry);
  running?.abort();
  query.showFilters();
  $("#sort").value = query.view.sort;
  state.shown = query.fingerprint();
  const mine = new AbortController();
  running = mine;
  document.body.classList.toggle("resting", query.isResting());
  busy(true);
  try {
    if (query.isBrowsing()) {
      query.showInterpretation(null);
      await look(mine.signal);
      return;
    }
    const answer = await api.search({ ...query.request(), k: state.k, typing, moments: 5 }, query.parts.files, mine.signal);
    trouble.clear();
    query.showInterpretation(answer.interpretation);
    if (query.filterAlone()) { await look(mine.signal); return; }
    browse.hide();
    found.show(answer, { from: state.from, most: state.k, sort: query.view.sort, typing });
    state.from = -1;
  } catch (error) {
    if (error.name === "AbortError") return;
    fail(error);
  } finally {
    if (running === mine) {
      running = null;
      if (!soon) busy(false);
    }
  }
}

/** Without a query: look through the files that pass the filters. */
async function look(signal) {
  const total = await browse.show(query.scope(query.filterAlone()), query.view.group, signal);
  if (signal.aborted) return;
  found.empty();
  trouble.clear();
  if (!query.isResting()) $("#says").textContent = total === 1 ? "1 file" : `${total.toLocaleString("en")} files`;
}

/** Say what is wrong; what was found before stays. */
function fail(error) {
  if (error.status === 401) { door(); return; }
  trouble.show(error.message, ask);
  if (error.again) retry = setTimeout(search, 1000 * error.again);
}

function refine(list, hit) {
  query.like(list, hit);
  ask();
}

function addFiles(files) {
  for (const file of files) query.addFile(file, file.name || "pasted.png");
  query.showParts();
  ask();
}

// --- the address -------------------------------------------------------------------------

/** Done when the browser has gone back from a closed moment, which takes it a while. */
let back = null;

/** Show what the address asks for: its query, and the moment that it names. */
async function follow() {
  clearTimeout(soon);
  soon = 0;
  const lost = query.restore();
  if (query.fingerprint() !== state.shown) {
    state.k = 40;
    const { scroll } = history.state ?? {};
    await search();
    scrollTo(0, scroll ?? 0);
  } else if (!running) busy(false);
  if (lost.length) $("#says").textContent += ` ${lost.join(", ")} is no longer at hand. Add it again.`;
  const moment = momentOf(location);
  if (!moment) { viewer.close(); return; }
  try {
    viewer.open(await hitAt(moment));
  } catch (error) {
    viewer.close();
    fail(error);
  }
}

/** The result of the query at this moment, else one made of the asset alone. */
async function hitAt(moment) {
  const hit = browse.isShown() ? browse.hitOf(moment.assetId) : found.hitOf(moment.assetId);
  const isIt = (asked, has) => asked === null || (has !== null && Math.abs(asked - has) < 0.02);
  if (hit && isIt(moment.start_s, hit.start_s) && isIt(moment.page, hit.page)) return hit;
  return hitFrom(await api.asset(moment.assetId), moment);
}

async function open(hit) {
  await back;
  viewer.open(hit);
  history.pushState({ ...history.state, opened: true }, "", addressOf(hit, location.search));
}

/** All moments that the query finds in one file; those of its result where it cannot be asked again. */
async function momentsOf(hit) {
  const few = hit.moments.length ? hit.moments : [];
  const quote = ['"', "'"].find((one) => !hit.name.includes(one));
  if (query.isBrowsing() || query.parts.files.length || !quote) return few;
  const { where, ...asked } = query.request();
  const here = `name = ${quote}${hit.name}${quote}`;
  const wish = { ...asked, where: where ? `(${where}) and ${here}` : here, under: hit.folder, k: 20, moments: 100, show_duplicates: true };
  const answer = await api.search(wish, []).catch(() => ({ hits: [] }));
  return answer.hits.find((other) => other.asset_id === hit.asset_id)?.moments ?? few;
}

viewer.setUp({
  fail,
  words: query.words,
  moments: momentsOf,
  more: (hit) => refine("like", hit),
  less: (hit) => refine("unlike", hit),
  neighbour: (hit, by) => ("number" in hit ? browse.isShown() && browse.neighbour(hit, by) : found.neighbour(hit, by)),
  moved: (hit) => history.replaceState(history.state, "", addressOf(hit, location.search)),
  closed() {
    if (history.state?.opened) {
      back = new Promise((done) => { window.addEventListener("popstate", done, { once: true }); }).then(() => { back = null; });
      history.back();
    } else history.replaceState(history.state, "", `${api.root}/${location.search}`);
  },
});
const acts = { open, more: (hit) => refine("like", hit), less: (hit) => refine("unlike", hit), leave: () => text.focus() };
found.setUp(acts);
browse.setUp({ ...acts, fail, roves: found.rove, stale: () => search(), folder: (name) => { $("#under").value = name; ask(); } });
$("#sort").addEventListener("change", (event) => { query.view.sort = event.target.value; ask(); });
$("#export").addEventListener("click", () => save(found.all()));
$("#wall").addEventListener("click", (event) => {
  const by = event.target.closest("[data-by]")?.dataset.by;
  if (by) { query.view.group = by; ask(); }
});
query.setUp(() => ask());
// Closing a moment leaves the query as it is, and what has been typed since.
window.addEventListener("popstate", () => { if (!back) follow(); });

// Back leads to where the page was: only this page knows when what was there is there again.
history.scrollRestoration = "manual";
let resting = 0;
window.addEventListener("scroll", () => {
  clearTimeout(resting);
  resting = setTimeout(() => history.replaceState({ ...history.state, scroll: scrollY }, ""), 150);
}, { passive: true });

// --- a sound from the microphone ---------------------------------------------------------

let recording = null;
async function toggleRecord() {
  if (recording) { recording.abort(); return; }
  recording = new AbortController();
  const button = $("#record");
  button.setAttribute("aria-pressed", "true");
  $("use", button).setAttribute("href", "#i-stop");
  $("#says").textContent = "Recording. Press again to stop.";
  try {
    const made = await record(recording.signal, (level) => $("#level").style.setProperty("--level", level));
    query.addFile(made.blob, made.name);
    query.showParts();
    ask();
  } catch {
    fail(new api.Trouble(0, "microphone", "Cannot use the microphone. Allow it for this page in the browser's settings."));
  } finally {
    recording = null;
    button.setAttribute("aria-pressed", "false");
    $("use", button).setAttribute("href", "#i-mic");
    $("#level").style.setProperty("--level", 0);
  }
}

// --- keys --------------------------------------------------------------------------------

document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input, select, textarea");
  if (document.querySelector("dialog[open]")) return;
  if (event.key === "/" && !typing) { event.preventDefault(); text.select(); text.focus(); }
  if (event.key === "?" && !typing) $("#keys").showModal();
  if (event.key === "ArrowDown" && event.target === text) {
    const [first] = found.cards();
    if (first) { event.preventDefault(); found.rove(first); }
  }
  if (event.key === "Escape" && event.target === text) {
    query.clear();
    ask();
  }
});

/** How much of the window the box takes when it stays at the top: what is below starts there. */
const box = $("search");
new ResizeObserver(() => box.parentElement.style.setProperty("--search-height", $("#options").hidden ? `${box.offsetHeight}px` : "0px")).observe(box);

// --- wiring ------------------------------------------------------------------------------

text.addEventListener("input", () => { state.k = 40; later(); });
$("#form").addEventListener("submit", (event) => { event.preventDefault(); ask(); });
$("#filters").addEventListener("change", () => ask());
$("#options").addEventListener("change", () => ask());
$("#attach").addEventListener("click", () => $("#pick").click());
$("#pick").addEventListener("change", (event) => { addFiles(event.target.files); event.target.value = ""; });
$("#record").addEventListener("click", toggleRecord);
// Browsers give the microphone to pages of this machine and of https alone.
const canRecord = Boolean(navigator.mediaDevices && window.MediaRecorder);
$("#record").hidden = !canRecord;
const INVITED = canRecord ? $(".hero p").textContent : "Type a description, or drop a photo, a sound or a video.";
$("#longer").addEventListener("click", () => { Object.assign(state, { from: found.cards().length, k: Math.min(1000, state.k * 2) }); search(); });
$("#narrow").addEventListener("click", () => {
  const open = $("#options").hidden;
  $("#options").hidden = !open;
  $("#narrow").setAttribute("aria-expanded", open);
  if (open && !$("#folders").children.length) {
    api.folders().then(({ folders }) => $("#folders").replaceChildren(...folders.map((value) => h("option", { value }))), () => {});
  }
});
$("#examples").addEventListener("click", (event) => {
  if (!event.target.matches("button")) return;
  text.value = event.target.textContent;
  ask();
});
closable($("#keys"));
$("#help").addEventListener("click", () => $("#keys").showModal());

let over = 0;
const carriesFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
window.addEventListener("dragenter", (event) => { if (carriesFiles(event)) { over += 1; $("#drop").hidden = false; } });
window.addEventListener("dragleave", (event) => { if (carriesFiles(event)) { over -= 1; if (over <= 0) $("#drop").hidden = true; } });
window.addEventListener("dragover", (event) => { if (carriesFiles(event)) event.preventDefault(); });
window.addEventListener("drop", (event) => {
  if (!carriesFiles(event)) return;
  event.preventDefault();
  over = 0;
  $("#drop").hidden = true;
  addFiles(event.dataTransfer.files);
});
window.addEventListener("paste", (event) => { if (event.clipboardData?.files.length) { event.preventDefault(); addFiles(event.clipboardData.files); } });

// --- beginning ---------------------------------------------------------------------------

function door() {
  busy(false);
  askForToken(start);
}

async function start() {
  try {
    const { required, signed_in: signedIn } = await api.session();
    if (required && !signedIn) { door(); return; }
    const now = await api.status();
    if (!now.ready) {
      $("#says").textContent = `${now.message[0].toUpperCase()}${now.message.slice(1)} …`;
      retry = setTimeout(start, 1000);
      return;
    }
    describe(now);
  } catch (error) {
    $("#says").textContent = error.message;
    retry = setTimeout(start, 1000 * (error.again || 3));
    return;
  }
  $("#says").textContent = "";
  if (state.shown !== null || text.value) return; // somebody has begun to type
  suggest();
  await follow();
  if (query.isBrowsing() && !momentOf(location)) text.focus({ preventScroll: true });
}

/** Example queries, made of what the collection holds. */
async function suggest() {
  const { queries } = await api.suggestions().catch(() => ({ queries: [] }));
  $("#examples").replaceChildren(...(queries.length ? ["Try ", ...queries.map((one) => h("button", { type: "button" }, one))] : []));
}

function describe(now) {
  query.setHears(now.hears);
  viewer.setReveals(now.reveals);
  const mayUpdate = now.roots.some((root) => root.indexable);
  $("#holdings").textContent = counted(now.by_modality);
  if (now.collection) {
    Object.assign($("#collection"), { hidden: false, href: `${api.root}/../` });
    $("#collection span").textContent = now.collection;
  }
  $("#update").hidden = !mayUpdate;
  $(".hero p").textContent = INVITED;
  if (!now.assets) {
    $(".hero p").textContent = mayUpdate ? "No files are indexed yet. Press Update." : "No files are indexed yet. Run “seehear index FOLDER”.";
  }
}
$("#update").addEventListener("click", () => update(async (told) => {
  describe(await api.status());
  suggest();
  await search();
  $("#says").textContent = told;
}).catch(fail));

start();
