// The answer to a query: cards in a grid, and moving among them by keys.

import { card, togglePlay } from "./cards.js";
import { $ } from "./dom.js";

const results = $("#results");
let hits = [];
let does = {};

export const cards = () => [...results.querySelectorAll(".card")];
export const neighbour = (hit, by) => (hits.includes(hit) ? hits[hits.indexOf(hit) + by] : undefined);
export const hitOf = (assetId) => hits.find((hit) => hit.asset_id === assetId);

/** `acts` has open(hit), more(hit), less(hit) and leave(): back to the search box. */
export function setUp(acts) { does = acts; }

/** Show an answer; `from`: move to the card of this number, the first of those that are new. */
export function show(answer, { from = -1, most }) {
  ({ hits } = answer);
  const focused = document.activeElement.closest("#results .card")?.hit.asset_id;
  const made = (wanted) => hits.filter((hit) => hit.weak === wanted).map((hit) => card(hit, does));
  $("#strong").replaceChildren(...made(false));
  $("#weak").replaceChildren(...made(true));
  $("#divide").hidden = !hits.some((hit) => hit.weak) || !answer.stands_out;
  $("#longer").hidden = hits.length < most || most >= 1000;
  $("#says").textContent = [verdict(answer), heard(answer), answer.notes.join(" ")].filter(Boolean).join(" · ");
  const all = cards();
  rove(all[from] ?? (focused === undefined ? undefined : all.find((one) => one.hit.asset_id === focused) ?? all[0]));
}

const heard = (answer) => (answer.heard.length ? `Heard: “${answer.heard.join("” “")}”` : "");

function verdict(answer) {
  if (!hits.length) return "Nothing found. Try other words, or fewer filters.";
  if (!answer.stands_out) return "No close matches. Showing the nearest.";
  const strong = hits.filter((hit) => !hit.weak).length;
  return `${strong} ${strong === 1 ? "result" : "results"}`;
}

export function empty() {
  hits = [];
  for (const list of [$("#strong"), $("#weak")]) list.replaceChildren();
  $("#divide").hidden = $("#longer").hidden = true;
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
  for (const one of all) for (const button of one.querySelectorAll("button")) button.tabIndex = one === current ? 0 : -1;
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
