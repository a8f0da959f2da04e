// Several files chosen: downloaded as one, or listed in a table.

import { root } from "./api.js";
import { $, h } from "./dom.js";

const MOST = 1000;
const bar = $("#chosen");
const chosen = new Map(); // asset id -> its result

const isChosen = (hit) => chosen.has(hit.asset_id);

/** The box on a card by which its file is chosen. */
export function tick(hit) {
  const box = h("input", { type: "checkbox", checked: isChosen(hit), "aria-label": `Select ${hit.name}` });
  box.addEventListener("change", () => {
    if (box.checked && chosen.size < MOST) chosen.set(hit.asset_id, hit);
    else chosen.delete(hit.asset_id);
    show();
  });
  return h("label.tick-box", {}, box);
}

function show() {
  bar.hidden = !chosen.size;
  $("#chosen-says").textContent = `${chosen.size} selected`;
  $("#chosen-download").href = `${root}/v1/download?assets=${[...chosen.keys()].join(",")}`;
  for (const box of document.querySelectorAll(".tick-box input")) box.checked = isChosen(box.closest(".card").hit);
}

$("#chosen-clear").addEventListener("click", () => { chosen.clear(); show(); });
$("#chosen-list").addEventListener("click", () => save([...chosen.values()]));

const COLUMNS = {
  rank: (hit) => hit.rank, score: (hit) => hit.score?.toFixed(4), name: (hit) => hit.name, folder: (hit) => hit.folder, kind: (hit) => hit.modality,
  start_s: (hit) => hit.start_s, stop_s: (hit) => hit.stop_s, page: (hit) => hit.page, taken: (hit) => hit.taken_at,
  city: (hit) => hit.city, country: (hit) => hit.country, camera: (hit) => hit.camera, asset_id: (hit) => hit.asset_id,
};

/** One cell of RFC 4180. Spreadsheets take a text that begins with = + - @ for a formula. */
function cell(value) {
  if (typeof value !== "string") return String(value ?? "");
  const harmless = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless;
}

export const table = (hits) => [Object.keys(COLUMNS), ...hits.map((hit) => Object.values(COLUMNS).map((column) => column(hit)))]
  .map((row) => `${row.map(cell).join(",")}\r\n`).join("");

/** Save results as a table that spreadsheets open. */
export function save(hits) {
  const url = URL.createObjectURL(new Blob(["\ufeff", table(hits)], { type: "text/csv" }));
  const link = h("a", { href: url, download: "seehear.csv" });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
