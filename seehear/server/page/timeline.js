// The moments of a film or a sound that a query finds, on a line of time for each of its sides.

import { clock, h } from "./dom.js";

const SIDES = {
  sight: ["sight", "pages"],
  sound: ["sound"],
  speech: ["speech", "subtitles", "lyrics"],
  text: ["writing", "text", "name", "caption"],
};

/** By what side a moment was found. */
function sideOf({ by, matched }) {
  const told = by?.[0] ?? { audio: "sound", text: "text" }[matched] ?? "sight";
  return Object.keys(SIDES).find((side) => SIDES[side].includes(told)) ?? "sight";
}

/** A line for each side on which there are moments; a press on one plays from there. */
export function timeline(moments, duration_s, player) {
  const share = (seconds) => `${Math.min(100, (100 * seconds) / duration_s)}%`;
  const play = (moment) => () => { player.currentTime = moment.start_s; player.play().catch(() => {}); };
  const mark = (side) => (moment) => {
    const times = `${clock(moment.start_s)}–${clock(moment.stop_s)}`;
    const made = h("button.mark", { type: "button", title: `${times}, score ${moment.score.toFixed(2)}`, "aria-label": `Play ${times}, found by ${side}, score ${moment.score.toFixed(2)}`, onclick: play(moment) });
    made.style.left = share(moment.start_s);
    made.style.width = share(moment.stop_s - moment.start_s);
    made.style.setProperty("--score", Math.max(0.25, moment.score));
    return made;
  };
  const rows = Object.keys(SIDES).flatMap((side) => {
    const here = moments.filter((moment) => sideOf(moment) === side).sort((one, other) => one.start_s - other.start_s);
    return here.length ? [h("div.side", {}, h("span", {}, side), h("div.line", {}, here.map(mark(side))))] : [];
  });
  if (!rows.length) return null;
  const made = h("div.timeline", { role: "group", "aria-label": "Moments that match" }, rows);
  const follow = () => made.style.setProperty("--at", player.currentTime / duration_s);
  player.addEventListener("timeupdate", follow);
  follow();
  return made;
}
