// What is asked: the box, its parts and the filters; as a request, as chips, and as an address.

import { asset, root } from "./api.js";
import * as compact from "./compact.js";
import { $, h, icon } from "./dom.js";

export const text = $("#text");
export const parts = { files: [], like: [], unlike: [] };
const MODES = { semantic: "meaning only", words: "words only, as written" };

/** Each filter: its name in the address, its field, and what its chip says. */
const FILTERS = [
  ["under", "#under", (value) => `in ${value}`],
  ["from", "#from", (value) => `from ${value}`],
  ["to", "#to", (value) => `until ${value}`],
  ["without", "#without", (value) => `without ${value}`],
  ["by", "#mode", (value) => MODES[value]],
  ["where", "#where", (value) => value],
  ["variety", "#diverse", () => "more variety"],
  ["copies", "#duplicates", () => "near-duplicates"],
].map(([name, selector, says]) => ({ name, field: $(selector), says }));
/** How it is shown: files grouped by "day", "folder" or "kind"; results sorted by "match" or "date". */
export const view = { group: "day", sort: "match" };
const VIEWS = { group: ["day", "folder", "kind"], sort: ["match", "newest", "oldest"] };
const kinds = [...document.querySelectorAll("[name=kind]")];

function valueOf(field) {
  if (field.type === "checkbox") return field.checked ? "1" : "";
  return field.value === "auto" ? "" : field.value.trim();
}

function fill(field, value) {
  if (field.type === "checkbox") field.checked = value === "1";
  else field.value = value || (field.tagName === "SELECT" ? "auto" : "");
}

const filters = () => Object.fromEntries(FILTERS.map(({ name, field }) => [name, valueOf(field)]));
export const chosenKinds = () => kinds.filter((box) => box.checked).map((box) => box.value);

/** Whether nothing is asked but filters: then the files are looked through. */
export const isBrowsing = () => !text.value.trim() && !parts.like.length && !parts.files.length;

/** Whether nothing at all is asked: the page as it is at first. */
export const isResting = () => isBrowsing() && !Object.values(filters()).some(Boolean) && !chosenKinds().length;

/** The filters alone, as /v1/search and /v1/browse take them; `more`: one besides them. */
export function scope(more = "") {
  const { under, from, to, where } = filters();
  const conditions = [where, from && `taken >= ${from}`, to && `taken <= ${to}`, more].filter(Boolean);
  const made = {
    modalities: chosenKinds(),
    under,
    where: conditions.map((one) => (conditions.length > 1 ? `(${one})` : one)).join(" and "),
  };
  return Object.fromEntries(Object.entries(made).filter(([, value]) => value.length));
}

/** The JSON of /v1/search, without the files. */
export function request() {
  const { without, by, variety, copies } = filters();
  const made = scope();
  const put = (name, value) => { if (value && value.length !== 0) made[name] = value; };
  const terms = compact.terms(text.value);
  if (terms) put("parts", terms);
  else if (text.value.trim()) {
    const written = chosen("as_written");
    Object.assign(made, { text: text.value.trim(), as_written: written.length ? written : false });
    put("take", chosen("take"));
  }
  put("like", parts.like.map((hit) => hit.segment_id));
  put("unlike", parts.unlike.map((hit) => hit.segment_id));
  put("without", without);
  put("mode", by);
  put("diverse", Boolean(variety));
  put("show_duplicates", Boolean(copies));
  return made;
}

// --- filters that the words name ---------------------------------------------------------

/** What the service read in the words: {rest, where, taken, offered}; null for none. */
let read = null;
/** Words of the box that a person wants to search for as they are, and words to make a filter of. */
const choice = { as_written: [], take: [] };
const chosen = (list) => choice[list].filter((words) => text.value.replace(/\s+/g, " ").includes(words));

/** The filter, if the words are nothing else: then the files that pass it are looked through. */
export const filterAlone = () => (read?.where && !read.rest && !parts.like.length && !parts.files.length ? read.where : "");

/** The words that pictures and sounds are searched by. */
export function words() {
  if ($("#mode").value === "words") return [];
  const terms = compact.terms(text.value);
  return terms ? terms.filter((term) => !term.exclude).map((term) => term.text) : [read?.rest || text.value.trim()].filter(Boolean);
}

/** Show what was read in the words; `found` is the interpretation of an answer. */
export function showInterpretation(found) {
  read = found;
  showFilters();
  const list = (name, filters) => (filters.length ? `${name}: ${filters.map((one) => one.told).join(", ")}. ` : "");
  const said = found ? list("Read as filters", found.taken) + list("Possible filters", found.offered) : "";
  if ($("#read").textContent !== said) $("#read").textContent = said;
}

function decide(words, list) {
  for (const name of ["as_written", "take"]) choice[name] = choice[name].filter((other) => other !== words);
  choice[list].push(words);
  changed();
}

/** Move the filters that were read from the words into the field for filters. */
function edit() {
  const where = $("#where");
  where.value = where.value.trim() ? `(${where.value.trim()}) and (${read.where})` : read.where;
  text.value = read.rest;
  read = null;
  changed();
  if ($("#options").hidden) $("#narrow").click();
  where.focus();
}

function readChips() {
  if (!read || !text.value.trim()) return [[], []];
  const taken = read.taken.map(({ words, told }) => h(
    "li.chip.read", {},
    h("button.word", { type: "button", title: `“${words}” is read as a filter. Press to edit it.`, "aria-label": `Edit the filter ${told}`, onclick: edit }, told),
    h("button", { type: "button", "data-words": words, title: `Search for “${words}” as words`, "aria-label": `Search for “${words}” as words`, onclick: () => { decide(words, "as_written"); text.focus(); } }, icon("close")),
  ));
  const offered = read.offered.map(({ words, told }) => h("li", {}, h(
    "button.offer", { type: "button", "data-words": words, title: `Make a filter of “${words}”`, "aria-label": `Make a filter of “${words}”: ${told}`, onclick: () => decide(words, "take") },
    icon("more"), `${told}?`,
  )));
  return [taken, offered];
}

// --- the address -------------------------------------------------------------------------

const known = new Map(); // files that were added, by number: an address cannot hold them
let typedAt = 0;

/** All that is asked, for an address. Liked results are named asset.segment. */
export function addressed() {
  const kept = new URLSearchParams();
  if (text.value.trim()) kept.set("q", text.value.trim());
  for (const kind of chosenKinds()) kept.append("kind", kind);
  for (const [name, value] of Object.entries(filters())) if (value) kept.set(name, value);
  for (const [name, [usual]] of Object.entries(VIEWS)) if (view[name] !== usual) kept.set(name, view[name]);
  for (const list of ["as_written", "take"]) for (const words of chosen(list)) kept.append(list, words);
  for (const list of ["like", "unlike"]) for (const hit of parts[list]) kept.append(list, `${hit.asset_id}.${hit.segment_id}`);
  return kept;
}

const search = () => { const kept = String(addressed()); return kept && `?${kept}`; };
const told = () => parts.files.map(({ number, name, said }) => ({ number, name, said: Boolean(said) }));

/** What tells one query from another, files included. */
export const fingerprint = () => search() + JSON.stringify(told());

/** Put the query into the address: a step of its own to go back to, but not for each letter. */
export function remember(typing) {
  document.title = text.value.trim() ? `${text.value.trim()} - seehear` : "seehear";
  for (const file of parts.files) if (!known.has(file.number)) known.set(file.number = known.size + 1, file);
  const before = history.state ?? {};
  const same = location.pathname === `${root}/` && location.search === search() && JSON.stringify(before.files ?? []) === JSON.stringify(told());
  const goesOn = typing && before.typing && Date.now() - typedAt < 2000;
  typedAt = typing ? Date.now() : 0;
  history[same || goesOn ? "replaceState" : "pushState"]({ typing, files: told() }, "", `${root}/${search()}`);
}

/** Fill the fields from the address; returns the names of files that are no longer at hand. */
export function restore() {
  const given = new URLSearchParams(location.search);
  text.value = given.get("q") ?? "";
  for (const box of kinds) box.checked = given.getAll("kind").includes(box.value);
  for (const { name, field } of FILTERS) fill(field, given.get(name) ?? "");
  for (const [name, values] of Object.entries(VIEWS)) view[name] = values.find((value) => value === given.get(name)) ?? values[0];
  for (const list of ["as_written", "take"]) choice[list] = given.getAll(list);
  const files = history.state?.files ?? [];
  parts.files = files.filter(({ number }) => known.has(number)).map(({ number, said }) => Object.assign(known.get(number), { said }));
  for (const list of ["like", "unlike"]) parts[list] = given.getAll(list).map(liked).filter(Boolean);
  showParts();
  return files.filter(({ number }) => !known.has(number)).map(({ name }) => name);
}

const seen = new Map();

/** A liked result of an address: its name and picture come when the service has told them. */
function liked(written) {
  const [, assetId, segmentId] = written.match(/^(\d{1,15})\.(\d{1,15})$/) ?? [];
  if (!segmentId) return null;
  if (!seen.has(written)) {
    const hit = { asset_id: Number(assetId), segment_id: Number(segmentId), name: `file ${assetId}`, modality: "image", thumbnail: null };
    seen.set(written, hit);
    asset(assetId).then((found) => {
      Object.assign(hit, { name: found.places[0]?.name ?? hit.name, modality: found.modality, thumbnail: found.thumbnail });
      showParts();
    }, () => {});
  }
  return seen.get(written);
}

export function like(list, hit) {
  for (const name of ["like", "unlike"]) parts[name] = parts[name].filter((other) => other.segment_id !== hit.segment_id);
  parts[list].push(hit);
  seen.set(`${hit.asset_id}.${hit.segment_id}`, hit);
  showParts();
}

export function addFile(blob, name) {
  if (parts.files.length < 8) parts.files.push({ blob, name, url: blob.type.startsWith("image/") ? URL.createObjectURL(blob) : null });
}

export function clear() {
  text.value = "";
  Object.assign(parts, { files: [], like: [], unlike: [] });
  Object.assign(choice, { as_written: [], take: [] });
  showParts();
}

// --- chips -------------------------------------------------------------------------------

let changed = () => {};
let hears = false;
const isSound = (file) => file.blob.type.startsWith("audio") || file.name.startsWith("recording");

/** `onChange` is called when a chip is taken away. */
export function setUp(onChange) { changed = onChange; }
/** Whether the service can hear what is said. */
export function setHears(yes) { hears = yes; }

function chip(word, look, drop, { not = false, more = null } = {}) {
  return h(
    not ? "li.chip.not" : "li.chip", {}, look, h("span.word", { title: word }, word), more,
    h("button", { type: "button", "aria-label": `Remove ${word}`, onclick: drop }, icon("close")),
  );
}

function saidButton(file) {
  if (!hears || !isSound(file)) return null;
  const turn = () => { file.said = !file.said; showParts(); changed(); };
  return h("button.said", { type: "button", "aria-pressed": file.said ? "true" : "false", "aria-label": `Ask with what is said in ${file.name}`, onclick: turn }, "said");
}

const kindOf = ({ blob, name }) => ["video", "text"].find((kind) => blob.type.startsWith(kind) && !name.startsWith("recording")) ?? "audio";

/** The parts beside the words: files, and results that are liked or not. */
export function showParts() {
  const drop = (list, one) => () => {
    parts[list] = parts[list].filter((other) => other !== one);
    showParts();
    changed();
    text.focus();
  };
  const look = (hit) => (hit.thumbnail ? h("img", { alt: "", src: hit.thumbnail }) : icon(hit.modality));
  $("#chips").replaceChildren(
    ...parts.files.map((file) => chip(file.name, file.url ? h("img", { alt: "", src: file.url }) : icon(kindOf(file)), drop("files", file), { more: saidButton(file) })),
    ...parts.like.map((hit) => chip(`like ${hit.name}`, look(hit), drop("like", hit))),
    ...parts.unlike.map((hit) => chip(`not ${hit.name}`, look(hit), drop("unlike", hit), { not: true })),
  );
}

/** The filters that are on, as chips that stay when the panel is closed; and their number. */
export function showFilters() {
  const terms = compact.terms(text.value) ?? [];
  const without = (term) => () => { text.value = compact.line(terms.filter((other) => other !== term)); changed(); text.focus(); };
  const on = FILTERS.map((one) => ({ ...one, value: valueOf(one.field) })).filter(({ value }) => value);
  const [taken, offered] = readChips();
  const count = on.length + chosenKinds().length + taken.length;
  const focused = document.activeElement.closest("#active [data-words]")?.dataset.words;
  $("#active").replaceChildren(
    ...taken,
    ...terms.map((term) => chip(compact.told(term), null, without(term), { not: term.exclude })),
    ...on.map(({ field, value, says }) => chip(says(value), null, () => { fill(field, ""); changed(); $("#narrow").focus(); })),
    count ? h("li", {}, h("button.quiet", { id: "clear-all", type: "button", onclick: () => { clearFilters(); changed(); $("#narrow").focus(); } }, "Clear all")) : "",
    ...offered,
  );
  if (focused) $(`#active [data-words="${CSS.escape(focused)}"]`)?.focus();
  $("#count").textContent = on.length || "";
  $("#narrow").setAttribute("aria-label", on.length ? `Filters, ${on.length} on` : "Filters");
}

export function clearFilters() {
  for (const { field } of FILTERS) fill(field, "");
  for (const box of kinds) box.checked = false;
  choice.take = [];
  if (read) choice.as_written.push(...read.taken.map(({ words }) => words));
}
