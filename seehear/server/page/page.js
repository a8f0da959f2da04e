// The page: a query of words, files and liked results; live answers in a grid.

import * as api from "./api.js";
import { card, togglePlay } from "./cards.js";
import { $, closable, h, icon } from "./dom.js";
import { record } from "./sound.js";
import { update } from "./updating.js";
import * as viewer from "./viewer.js";

const text = $("#text");
const results = $("#results");
const state = { files: [], like: [], unlike: [], k: 40, hits: [], longer: false };
let running = null;
let soon = 0;
let retry = 0;

// --- the query ---------------------------------------------------------------------------

function query() {
  const asked = { k: state.k };
  const put = (name, value) => { if (value && value.length !== 0) asked[name] = value; };
  put("text", text.value.trim());
  put("like", state.like.map((hit) => hit.segment_id));
  put("unlike", state.unlike.map((hit) => hit.segment_id));
  put("modalities", [...document.querySelectorAll("[name=kind]:checked")].map((box) => box.value));
  put("under", $("#under").value.trim());
  put("without", $("#without").value.trim());
  const conditions = [$("#where").value.trim()];
  if ($("#from").value) conditions.push(`taken >= ${$("#from").value}`);
  if ($("#to").value) conditions.push(`taken <= ${$("#to").value}`);
  put("where", conditions.filter(Boolean).map((one, _, all) => (all.length > 1 ? `(${one})` : one)).join(" and "));
  if ($("#mode").value !== "auto") asked.mode = $("#mode").value;
  if ($("#diverse").checked) asked.diverse = true;
  if ($("#duplicates").checked) asked.show_duplicates = true;
  return asked;
}

/** Busy from the first key of a query until its answer stands there. */
function busy(yes) {
  document.body.classList.toggle("busy", yes);
  results.setAttribute("aria-busy", yes);
}

const empty = (asked) => !asked.text && !asked.like && !state.files.length;

function later(pause = 220) {
  clearTimeout(soon);
  busy(true);
  soon = setTimeout(() => search(true), pause);
}

/** `typing`: the last word may not be complete. */
async function search(typing = false) {
  clearTimeout(soon);
  soon = 0;
  clearTimeout(retry);
  running?.abort();
  const asked = query();
  remember(asked);
  if (empty(asked)) { rest(); return; }
  const mine = new AbortController();
  running = mine;
  document.body.classList.remove("resting");
  busy(true);
  try {
    const answer = await api.search({ ...asked, typing, moments: 5 }, state.files, mine.signal);
    show(answer);
  } catch (error) {
    if (error.name === "AbortError") return;
    fail(error);
  } finally {
    if (running === mine && !soon) busy(false);
  }
}

function rest() {
  document.body.classList.add("resting");
  busy(false);
  state.hits = [];
  for (const list of [$("#strong"), $("#weak")]) list.replaceChildren();
  $("#divide").hidden = $("#longer").hidden = $("#trouble").hidden = true;
  $("#says").textContent = "";
}

function show(answer) {
  const { hits } = answer;
  const before = state.longer ? state.hits.length : -1;
  Object.assign(state, { hits, longer: false });
  const made = (wanted) => hits.filter((hit) => hit.weak === wanted).map((hit) => card(hit, does));
  $("#strong").replaceChildren(...made(false));
  $("#weak").replaceChildren(...made(true));
  $("#divide").hidden = !hits.some((hit) => hit.weak) || !answer.stands_out;
  $("#longer").hidden = hits.length < state.k || state.k >= 1000;
  $("#trouble").hidden = true;
  if (!hits.length) $("#says").textContent = "Nothing found. Try other words, or fewer filters.";
  else if (!answer.stands_out) $("#says").textContent = "No close matches. Showing the nearest.";
  else {
    const strong = hits.filter((hit) => !hit.weak).length;
    $("#says").textContent = `${strong} ${strong === 1 ? "result" : "results"}`;
  }
  if (answer.heard.length) $("#says").textContent += ` · Heard: “${answer.heard.join("” “")}”`;
  if (answer.notes.length) $("#says").textContent += ` · ${answer.notes.join(" ")}`;
  rove(results.querySelectorAll(".card")[before]); // after "Show more", on to the first new one
}

function fail(error) {
  if (error.status === 401) { door(); return; }
  rest();
  document.body.classList.remove("resting");
  $("#trouble").textContent = error.message;
  $("#trouble").hidden = false;
  if (error.again) retry = setTimeout(search, 1000 * error.again);
}

/** Keep words and kinds in the address, so that a search can be kept and shared. */
function remember(asked) {
  const kept = new URLSearchParams();
  if (asked.text) kept.set("q", asked.text);
  for (const kind of asked.modalities ?? []) kept.append("kind", kind);
  if (asked.under) kept.set("under", asked.under);
  history.replaceState(null, "", kept.size ? `/?${kept}` : "/");
}

// --- parts of the query ------------------------------------------------------------------

const does = {
  open: (hit) => viewer.open(hit),
  more: (hit) => refine("like", hit),
  less: (hit) => refine("unlike", hit),
};

function refine(list, hit) {
  for (const name of ["like", "unlike"]) state[name] = state[name].filter((other) => other.segment_id !== hit.segment_id);
  state[list].push(hit);
  chips();
  search();
  text.focus();
}

function addFiles(files) {
  for (const file of files) {
    if (state.files.length < 8) state.files.push({ blob: file, name: file.name || "pasted.png", url: file.type.startsWith("image/") ? URL.createObjectURL(file) : null });
  }
  chips();
  search();
}

function chips() {
  const drop = (list, one) => () => {
    state[list].splice(state[list].indexOf(one), 1);
    if (one.url) URL.revokeObjectURL(one.url);
    chips();
    search();
    text.focus();
  };
  const chip = (list, one, look, word, not) => h(
    "li.chip" + (not ? ".not" : ""),
    {},
    look,
    h("span.word", {}, word),
    list === "files" && hears && isSound(one) ? h("button.said", {
      type: "button", "aria-pressed": one.said ? "true" : "false", "aria-label": `Ask with what is said in ${word}`,
      onclick: () => { one.said = !one.said; chips(); search(); },
    }, "said") : "",
    h("button", { type: "button", "aria-label": `Remove ${word}`, onclick: drop(list, one) }, icon("close")),
  );
  const seen = (hit) => (hit.thumbnail ? h("img", { alt: "", src: hit.thumbnail }) : icon(hit.modality));
  $("#chips").replaceChildren(
    ...state.files.map((file) => chip("files", file, file.url ? h("img", { alt: "", src: file.url }) : icon(file.blob.type.startsWith("video") && !file.name.startsWith("recording") ? "video" : file.blob.type.startsWith("text") ? "text" : "audio"), file.name)),
    ...state.like.map((hit) => chip("like", hit, seen(hit), `like ${hit.name}`)),
    ...state.unlike.map((hit) => chip("unlike", hit, seen(hit), `not ${hit.name}`, true)),
  );
}

/** Whether the service can hear what is said. */
let hears = false;
const isSound = (file) => file.blob.type.startsWith("audio") || file.name.startsWith("recording");

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
    state.files.push({ ...made, url: null });
    chips();
    search();
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

/** One card at a time takes part in tabbing; arrows move among them. */
function rove(to) {
  const cards = [...results.querySelectorAll(".card")];
  const current = to ?? cards[0];
  for (const one of cards) for (const button of one.querySelectorAll("button")) button.tabIndex = one === current ? 0 : -1;
  if (to) $(".view", to).focus();
}

function neighbour(from, key) {
  const cards = [...results.querySelectorAll(".card")];
  const at = cards.indexOf(from);
  if (key === "ArrowLeft" || key === "ArrowRight") return cards[at + (key === "ArrowRight" ? 1 : -1)];
  if (key === "Home") return cards[0];
  if (key === "End") return cards.at(-1);
  const here = from.getBoundingClientRect();
  const down = key === "ArrowDown";
  const rows = cards.map((one) => [one, one.getBoundingClientRect()]).filter(([, box]) => (down ? box.top > here.bottom - 4 : box.bottom < here.top + 4));
  const nearest = (a, b) => Math.abs(a[1].top - here.top) - Math.abs(b[1].top - here.top) || Math.abs(a[1].left - here.left) - Math.abs(b[1].left - here.left);
  return rows.sort(nearest)[0]?.[0];
}

results.addEventListener("keydown", (event) => {
  const made = event.target.closest(".card");
  if (!made || event.ctrlKey || event.metaKey || event.altKey) return;
  const { key } = event;
  if (key.startsWith("Arrow") || key === "Home" || key === "End") {
    event.preventDefault();
    const next = neighbour(made, key);
    if (next) rove(next);
    else if (key === "ArrowUp") text.focus();
  } else if (key === "+" || key === "=") does.more(made.hit);
  else if (key === "-" || key === "−") does.less(made.hit);
  else if (key === " " && event.target.matches(".view") && ["audio", "video"].includes(made.hit.modality)) {
    event.preventDefault();
    togglePlay(made, true);
  }
});
results.addEventListener("focusin", (event) => {
  const made = event.target.closest(".card");
  if (made && $(".view", made).tabIndex !== 0) {
    for (const one of results.querySelectorAll(".card")) for (const button of one.querySelectorAll("button")) button.tabIndex = one === made ? 0 : -1;
  }
});

document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input, select, textarea");
  if (document.querySelector("dialog[open]")) return;
  if (event.key === "/" && !typing) { event.preventDefault(); text.select(); text.focus(); }
  if (event.key === "?" && !typing) $("#keys").showModal();
  if (event.key === "ArrowDown" && event.target === text) {
    const first = results.querySelector(".card");
    if (first) { event.preventDefault(); rove(first); }
  }
  if (event.key === "Escape" && event.target === text) {
    text.value = "";
    Object.assign(state, { files: [], like: [], unlike: [] });
    chips();
    search();
  }
});

viewer.setUp(
  (hit, by) => state.hits[state.hits.indexOf(hit) + by],
  { more: does.more, less: does.less },
);

// --- wiring ------------------------------------------------------------------------------

text.addEventListener("input", () => { state.k = 40; later(); });
$("#form").addEventListener("submit", (event) => { event.preventDefault(); search(); });
$("#filters").addEventListener("change", () => search());
$("#options").addEventListener("change", () => search());
$("#attach").addEventListener("click", () => $("#pick").click());
$("#pick").addEventListener("change", (event) => { addFiles(event.target.files); event.target.value = ""; });
$("#record").addEventListener("click", toggleRecord);
// Browsers give the microphone to pages of this machine and of https alone.
const canRecord = Boolean(navigator.mediaDevices && window.MediaRecorder);
$("#record").hidden = !canRecord;
if (!canRecord) $("#sound-how").textContent = "drop or choose a file";
$("#longer").addEventListener("click", () => { Object.assign(state, { k: Math.min(1000, state.k * 2), longer: true }); search(); });
$("#narrow").addEventListener("click", () => {
  const open = $("#options").hidden;
  $("#options").hidden = !open;
  $("#narrow").setAttribute("aria-expanded", open);
  if (open && !$("#folders").children.length) {
    api.folders().then(({ folders }) => $("#folders").replaceChildren(...folders.map((value) => h("option", { value }))), () => {});
  }
});
$(".ways").addEventListener("click", (event) => {
  const way = event.target.closest("button")?.dataset.way;
  if (way === "words") { text.value = "waves at the sea"; search(); text.focus(); }
  if (way === "file") $("#pick").click();
  if (way === "sound") $(canRecord ? "#record" : "#pick").click();
});
$("#reset").addEventListener("click", () => {
  for (const field of $("#options").querySelectorAll("input, select")) {
    if (field.type === "checkbox") field.checked = false;
    else field.value = field.tagName === "SELECT" ? "auto" : "";
  }
  search();
});
closable($("#keys"));
$("#help").addEventListener("click", () => $("#keys").showModal());
$("#theme").addEventListener("click", () => {
  const dark = getComputedStyle(document.documentElement).colorScheme === "dark"
    || (!document.documentElement.dataset.theme && matchMedia("(prefers-color-scheme: dark)").matches);
  document.documentElement.dataset.theme = dark ? "light" : "dark";
  try { localStorage.setItem("theme", document.documentElement.dataset.theme); } catch { /* storage may be off */ }
});

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
  const dialog = $("#door");
  if (!dialog.open) dialog.showModal();
  dialog.addEventListener("cancel", (event) => event.preventDefault());
}
$("#sign-in").addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    await api.signIn($("#token").value);
    $("#token").value = "";
    $("#door").close();
    start();
  } catch (error) {
    $("#door-says").textContent = error.message;
  }
});

async function start() {
  try {
    const { required, signed_in: signedIn } = await api.session();
    if (required && !signedIn) { door(); return; }
    const found = await api.status();
    if (!found.ready) {
      $("#says").textContent = `${found.message[0].toUpperCase()}${found.message.slice(1)} …`;
      retry = setTimeout(start, 1000);
      return;
    }
    describe(found);
  } catch (error) {
    $("#says").textContent = error.message;
    retry = setTimeout(start, 1000 * (error.again || 3));
    return;
  }
  $("#says").textContent = "";
  const given = new URLSearchParams(location.search);
  text.value = given.get("q") ?? text.value;
  $("#under").value = given.get("under") ?? "";
  for (const box of document.querySelectorAll("[name=kind]")) box.checked = given.getAll("kind").includes(box.value);
  if (text.value) { search(); return; }
  busy(false);
  text.focus();
}

function describe(found) {
  hears = found.hears;
  const names = { image: ["photo", "photos"], video: ["video", "videos"], audio: ["sound", "sounds"], text: ["text", "texts"] };
  const told = Object.entries(names)
    .map(([kind, [one, many]]) => [found.by_modality[kind] ?? 0, one, many])
    .filter(([n]) => n)
    .map(([n, one, many]) => `${n.toLocaleString()} ${n === 1 ? one : many}`);
  const mayUpdate = found.roots.some((root) => root.indexable);
  $("#holdings").textContent = told.join(" · ");
  $("#update").hidden = !mayUpdate;
  if (!found.assets) {
    $(".hero p").textContent = mayUpdate ? "No files are indexed yet. Press Update." : "No files are indexed yet. Run “seehear index FOLDER”.";
  }
}
$("#update").addEventListener("click", () => update(() => { api.status().then(describe); search(); }).catch(fail));

start();
