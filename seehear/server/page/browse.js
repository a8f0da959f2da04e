// All files without a query, by day, folder or kind: only what is near the view is in the page.

import { browse, browseItems } from "./api.js";
import { card } from "./cards.js";
import { $, h } from "./dom.js";

const WINDOW = 100; // files of one request
const HEAD_PX = 52;
const GAP_PX = 14;
const CAPTION_PX = 50;
const KINDS = { image: "Photos", video: "Videos", audio: "Sounds", text: "Texts" };

const wall = $("#wall");
const tiles = $("#tiles");
let does = {};
let listing = null; // {by, scope, version, total, groups: [{key, count, first, top, height}], columns, ...}
const windows = new Map(); // number -> items, or the promise of them
const shown = new Map(); // "g3" or "17" -> its element
let frame = 0;
let idle = 0;

/** `acts`: those of cards, and folder(name), fail(error). */
export function setUp(acts) { does = acts; }

/** Show the files of a scope; resolves to how many there are. */
export async function show(scope, by, signal) {
  const found = await browse({ ...scope, by }, signal);
  clear();
  listing = { ...found, by, scope, columns: 0 };
  wall.hidden = false;
  for (const button of wall.querySelectorAll("[data-by]")) button.setAttribute("aria-pressed", button.dataset.by === by);
  lay();
  await load(0);
  render();
  return found.total;
}

export function hide() {
  clear();
  wall.hidden = true;
}

function clear() {
  listing = null;
  windows.clear();
  for (const made of shown.values()) made.remove();
  shown.clear();
}

export const isShown = () => listing !== null;
const itemAt = (number) => { const items = windows.get(Math.floor(number / WINDOW)); return Array.isArray(items) ? items[number % WINDOW] : undefined; };
export const hitOf = (assetId) => [...windows.values()].flat().find((hit) => hit.asset_id === assetId);

/** The file beside another; those around it are fetched for the next time. */
export function neighbour(hit, by) {
  for (const number of [hit.number - WINDOW / 2, hit.number + WINDOW / 2]) if (number > 0 && number < listing.total) load(Math.floor(number / WINDOW));
  return itemAt(hit.number + by);
}

// --- what is where -----------------------------------------------------------------------

function lay() {
  const width = tiles.clientWidth;
  if (!listing || !width) return;
  const columns = width < 560 ? 2 : Math.floor((width + GAP_PX) / (208 + GAP_PX));
  const tile = (width - GAP_PX * (columns - 1)) / columns;
  const row = Math.round(0.75 * tile) + CAPTION_PX + GAP_PX;
  let [first, top] = [0, 0];
  for (const group of listing.groups) {
    const height = HEAD_PX + row * Math.ceil(group.count / columns) + GAP_PX;
    Object.assign(group, { first, top, height });
    first += group.count;
    top += height;
  }
  Object.assign(listing, { columns, tile, row, laid: {} });
  tiles.style.height = `${top}px`;
}

/** The number of the group that lies at a height. */
function groupAt(top) {
  let [low, high] = [0, listing.groups.length - 1];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (listing.groups[middle].top <= top) low = middle;
    else high = middle - 1;
  }
  return low;
}

/** What has to be in the page, in order: [name, group, number of the file or -1 for the heading]. */
function near(from, to) {
  const { groups, columns, row } = listing;
  const needed = [];
  for (let n = groupAt(Math.max(0, from)); n < groups.length && groups[n].top < to; n += 1) {
    const group = groups[n];
    if (group.top + HEAD_PX > from) needed.push([`g${n}`, group, -1]);
    const start = group.top + HEAD_PX;
    const firstRow = Math.max(0, Math.floor((from - start) / row));
    const lastRow = Math.min(Math.ceil(group.count / columns), Math.ceil((to - start) / row));
    for (let at = firstRow * columns; at < Math.min(group.count, lastRow * columns); at += 1) needed.push([String(group.first + at), group, group.first + at]);
  }
  return needed;
}

// --- drawing -----------------------------------------------------------------------------

function render() {
  frame = 0;
  if (!listing?.groups.length) return;
  if (!listing.columns) lay();
  const top = -tiles.getBoundingClientRect().top;
  const needed = near(top - innerHeight, top + 2 * innerHeight);
  const names = new Set(needed.map(([name]) => name));
  let isNew = false;
  for (const [name, made] of shown) {
    if (names.has(name) || made.contains(document.activeElement)) continue;
    made.remove();
    shown.delete(name);
  }
  let after = tiles.firstElementChild;
  for (const [name, group, number] of needed) {
    let made = shown.get(name);
    const item = number < 0 ? null : itemAt(number);
    if (made?.waits && item) { if (made === after) after = after.nextElementSibling; made.remove(); made = null; }
    if (!made) {
      made = number < 0 ? heading(group) : tile(item, number);
      shown.set(name, made);
      tiles.insertBefore(made, after);
      isNew = true;
    } else if (made === after) after = after.nextElementSibling;
    place(made, group, number);
  }
  if (isNew) does.roves();
  const told = top > HEAD_PX ? label(listing.groups[groupAt(top + 60)].key) : "";
  if ($("#wall-at").textContent !== told) $("#wall-at").textContent = told;
}

function place(made, group, number) {
  if (made.laid === listing.laid) return;
  made.laid = listing.laid;
  const { columns, row, tile: width } = listing;
  const at = number - group.first;
  const [left, top] = number < 0 ? [0, group.top] : [(at % columns) * (width + GAP_PX), group.top + HEAD_PX + Math.floor(at / columns) * row];
  Object.assign(made.style, { left: `${left}px`, top: `${top}px`, width: number < 0 ? "100%" : `${width}px`, height: number < 0 ? `${HEAD_PX}px` : `${row - GAP_PX}px` });
}

function heading({ key, count }) {
  const name = label(key);
  const title = listing.by === "folder" && key
    ? h("button.quiet", { type: "button", onclick: () => does.folder(key), title: `Look through ${key} only` }, name)
    : name;
  return h("li.group", {}, h("h2", {}, title), h("span", {}, count.toLocaleString("en")));
}

function tile(item, number) {
  const made = item ? card(item, does) : h("li.card.blank", { "aria-hidden": "true" });
  made.waits = !item;
  if (item) {
    made.setAttribute("aria-posinset", number + 1);
    made.setAttribute("aria-setsize", listing.total);
  }
  return made;
}

function label(key) {
  if (listing.by === "kind") return KINDS[key];
  if (listing.by === "folder") return key || "Other folders";
  const [year, month, day] = key.split("-").map(Number);
  const form = { year: "numeric", ...(month && { month: "long" }), ...(day && { day: "numeric", weekday: "long" }) };
  return new Date(year, (month || 1) - 1, day || 1).toLocaleDateString("en-GB", form);
}

// --- fetching ----------------------------------------------------------------------------

/** Fetch a window of files, once. */
async function load(window) {
  if (!listing || windows.has(window)) return;
  const mine = listing;
  windows.set(window, null);
  try {
    const { items, version } = await browseItems({ ...mine.scope, by: mine.by, version: mine.version, start: window * WINDOW, count: WINDOW });
    if (listing !== mine) return;
    if (version !== mine.version) { does.stale(); return; }
    windows.set(window, items.map((item, n) => asHit(item, window * WINDOW + n)));
    for (const old of windows.keys()) { if (windows.size > 40 && Math.abs(old - window) > 10) windows.delete(old); }
  } catch (error) {
    if (listing !== mine) return;
    windows.delete(window);
    does.fail(error);
  }
  if (!frame) frame = requestAnimationFrame(render);
}

/** A file as the result that cards and the viewer show. */
const asHit = (item, number) => ({
  ...item, number, start_s: null, stop_s: null, page: null, score: null, rank: null, matched: item.modality, by: [], text: item.snippet,
  marks: [], box: null, moments: [], duplicates: [], why: [], language: null,
});

/** Fetch what is in view, once the view rests: nothing that only flies by. */
function fetchNear() {
  if (!listing?.groups.length) return;
  const top = -tiles.getBoundingClientRect().top;
  const numbers = near(top - innerHeight, top + 2 * innerHeight).map(([, , number]) => number).filter((number) => number >= 0);
  for (const window of new Set(numbers.map((number) => Math.floor(number / WINDOW)))) load(window);
}

function moved() {
  if (!listing) return;
  if (!frame) frame = requestAnimationFrame(render);
  clearTimeout(idle);
  idle = setTimeout(fetchNear, 70);
}

window.addEventListener("scroll", moved, { passive: true });
new ResizeObserver(() => { if (listing) { lay(); moved(); } }).observe(tiles);
