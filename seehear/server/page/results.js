// The answer to a query: cards in a grid, and moving among them by keys.

import { card, togglePlay } from "./cards.js";
import { $ } from "./dom.js";

const results = $("#results");
let hits = [];
let saying = 0;
let does = {};

export const cards = () => [...results.querySelectorAll(".card")];
export const neighbour = (hit, by) => (hits.includes(hit) ? hits[hits.indexOf(hit) + by] : undefined);
export const hitOf = (assetId) => hits.find((hit) => hit.asset_id === assetId);

/** `acts` has open(hit), more(hit), less(hit) and leave(): back to the search box. */
export function setUp(acts) { does = acts; }

/** Show an answer; `from`: move to the card of this number, the first of those that are new. */
export function show(answer, { from = -1, most, sort = "match", typing = false }) {
  ({ hits } = answer);
  const focused = document.activeElement.closest("#results .card")?.hit.asset_id;
  const best = hits.filter((hit) => !hit.weak);
  if (sort !== "match") hits = byDate(hits, sort === "newest" ? -1 : 1);
  const made = (wanted) => wanted.map((hit) => card(hit, does));
  $("#strong").replaceChildren(...made(sort === "match" ? best : hits));
  $("#weak").replaceChildren(...made(sort === "match" ? hits.filter((hit) => hit.weak) : []));
  $("#best").hidden = sort !== "match" || !best.length;
  $("#divide").hidden = !$("#weak").children.length;
  $("#longer").hidden = hits.length < most || most >= 1000;
  $("#sorting").hidden = !hits.length;
  const told = [counted(best.length, hits.length), heard(answer), answer.notes.join(" ")].filter(Boolean).join(" · ");
  // The next letter may bring matches: nobody is told in the middle of a word that there are none.
  clearTimeout(saying);
  if (typing && !best.length) saying = setTimeout(() => { $("#says").textContent = told; }, 1200);
  else $("#says").textContent = told;
  const all = cards();
  rove(all[from] ?? (focused === undefined ? undefined : all.find((one) => one.hit.asset_id === focused) ?? all[0]));
}

const heard = (answer) => (answer.heard.length ? `Heard: “${answer.heard.join("” “")}”` : "");

function counted(best, all) {
  if (!all) return "Nothing found. Try other words, or fewer filters.";
  const more = all - best ? `${all - best} more ${all - best === 1 ? "result" : "results"}` : "";
  return [`${best || "No"} best ${best === 1 ? "match" : "matches"}`, more].filter(Boolean).join(" · ");
}

/** Results by date; those without one come last. */
function byDate(found, direction) {
  const time = (hit) => hit.taken_at ?? "";
  return [...found].sort((one, other) => (time(one) && time(other) ? direction * time(one).localeCompare(time(other)) : time(other).length - time(one).length) || one.rank - other.rank);
}

export const all = () => hits;

export function empty() {
  hits = [];
  for (const list of [$("#strong"), $("#weak")]) list.replaceChildren();
  clearTimeout(saying);
  $("#best").hidden = $("#divide").hidden = $("#longer").hidden = $("#sorting").hidden = true;
  $("#says").textContent = "";
}

// --- keys --------------------------------------------------------------------------------

/** One card at a time takes part in tabbing; arrows move among them. */
export function rove(to) {
  const all = cards();
  tabbable(all, to ?? all[0]);
  if (to) $(".view", to).focus();
}

function tabbable(all, current) {
  for (const one of all) for (const button of one.querySelectorAll("button, input")) button.tabIndex = one === current ? 0 : -1;
}

function nextTo(from, key) {
  const all = cards();
  const at = all.indexOf(from);
  if (key === "ArrowLeft" || key === "ArrowRight") return all[at + (key === "ArrowRight" ? 1 : -1)];
  if (key === "Home") return all[0];
  if (key === "End") return all.at(-1);
  const here = from.getBoundingClientRect();
  const down = key === "ArrowDown";
  const rows = all.map((one) => [one, one.getBoundingClientRect()]).filter(([, box]) => (down ? box.top > here.bottom - 4 : box.bottom < here.top + 4));
  const nearest = (a, b) => Math.abs(a[1].top - here.top) - Math.abs(b[1].top - here.top) || Math.abs(a[1].left - here.left) - Math.abs(b[1].left - here.left);
  return rows.sort(nearest)[0]?.[0];
}

results.addEventListener("keydown", (event) => {
  const made = event.target.closest(".card");
  if (!made || event.ctrlKey || event.metaKey || event.altKey) return;
  const { key } = event;
  if (key.startsWith("Arrow") || key === "Home" || key === "End") {
    event.preventDefault();
    const next = nextTo(made, key);
    if (next) rove(next);
    else if (key === "ArrowUp") does.leave();
  } else if ("+=-−".includes(key)) {
    event.preventDefault();
    (key === "+" || key === "=" ? does.more : does.less)(made.hit);
  } else if (key === " " && event.target.matches(".view") && ["audio", "video"].includes(made.hit.modality)) {
    event.preventDefault();
    togglePlay(made, true);
  }
});
results.addEventListener("focusin", (event) => {
  const made = event.target.closest(".card");
  if (made && $(".view", made).tabIndex !== 0) tabbable(cards(), made);
});
