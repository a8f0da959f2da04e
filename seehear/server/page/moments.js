// The address of a moment, /moment/12#t=12.5,19 or #page=3, and of its result.

import { root } from "./api.js";

const PATH = /^\/moment\/(\d{1,15})$/;

/** Seconds of 12.5, npt:12.5, 1:02 or 1:02:03.5, as media fragments write them; null for none. */
function seconds(written) {
  if (!/^(\d+:){0,2}\d+(\.\d*)?$/.test(written)) return null;
  return written.split(":").reduce((sum, part) => 60 * sum + Number(part), 0);
}

/** {assetId, start_s, stop_s, page} of an address, or null for another one. */
export function momentOf({ pathname, hash }) {
  const [, id] = pathname.slice(root.length).match(PATH) ?? [];
  if (!id) return null;
  const given = new URLSearchParams(hash.slice(1));
  const [start, stop] = (given.get("t") ?? "").replace(/^npt:/, "").split(",");
  const stop_s = seconds(stop ?? "");
  const start_s = seconds(start) ?? (stop_s === null ? null : 0);
  const page = Number(given.get("page"));
  return {
    assetId: Number(id),
    start_s,
    stop_s: stop_s !== null && stop_s > start_s ? stop_s : null,
    page: Number.isInteger(page) && page > 0 ? page : null,
  };
}

const short = (number) => String(Number(number.toFixed(2)));

/** The address of a result at its moment; `search` is the query that goes with it. */
export function addressOf(hit, search = "") {
  const times = hit.start_s === null ? "" : `t=${short(hit.start_s)}${hit.stop_s === null ? "" : `,${short(hit.stop_s)}`}`;
  const fragment = [times, hit.page && `page=${hit.page}`].filter(Boolean).join("&");
  return `${root}/moment/${hit.asset_id}${search}${fragment && `#${fragment}`}`;
}

/** A result made of what the service tells of an asset, for an address that was opened by itself. */
export function hitFrom(found, { start_s, stop_s, page }) {
  const { name, folder } = found.places[0] ?? { name: `file ${found.asset_id}`, folder: "" };
  const at = start_s === null ? null : Math.min(start_s, found.duration_s ?? start_s);
  const own = found.segments.find((one) => (page === null ? at !== null && one.start_s <= at && at < one.stop_s : one.page === page)) ?? found.segments[0];
  const drawn = page !== null && found.format === "pdf" ? `${root}/v1/assets/${found.asset_id}/thumbnail?page=${page}` : found.thumbnail;
  return {
    ...found, name, folder, start_s: at, stop_s, page, rank: null, score: null, matched: found.modality, by: [],
    segment_id: own?.segment_id ?? null, snippet: null, text: own?.text ?? null, marks: [], box: null, moments: [], duplicates: [], why: [],
    thumbnail: found.modality === "video" && at !== null ? `${root}/v1/assets/${found.asset_id}/thumbnail?start_s=${short(at)}` : drawn,
    people: found.details.people ?? null, city: found.details.city, country: found.details.country, camera: found.details.camera, language: null,
  };
}
