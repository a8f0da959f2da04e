// Small helpers: elements, icons, times.

export const $ = (selector, root = document) => root.querySelector(selector);

/** An element: h("button.quiet", {onclick: f, "aria-label": "x"}, "text", child). */
export function h(name, props = {}, ...children) {
  const [tag, ...classes] = name.split(".");
  const made = document.createElement(tag);
  made.classList.add(...classes);
  for (const [key, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (key in made && !key.startsWith("aria-")) made[key] = value;
    else made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return made;
}

/** A long text whose end is shown: its middle gives way. `end`: characters that stay. */
export function ending(text, end) {
  const cut = text.length > 26 ? Math.max(1, text.length - end) : 0;
  return cut ? [h("span.start", {}, text.slice(0, cut)), h("span.end", {}, text.slice(cut))] : [text];
}

/** A folder by its end: the last part of the path stays. */
export const pathEnd = (folder) => ending(folder, Math.min(24, folder.length - folder.lastIndexOf("/")));

export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `#i-${name}`);
  svg.setAttribute("aria-hidden", "true");
  svg.append(use);
  return svg;
}

/** 1:02:03 or 2:03, as players show it. */
export function clock(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (n) => String(n).padStart(2, "0");
  return hours ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
}

export const span = (hit) =>
  hit.start_s === null || hit.stop_s === null ? "" : `${clock(hit.start_s)}–${clock(hit.stop_s)}`;

/** When a file was taken, as far as it is known: "2024-06" is June 2024. */
export function taken(text, long = false) {
  const [, year, month, day, time] = text?.match(/^(\d{4})(?:-(\d\d))?(?:-(\d\d))?(?:T(\d\d:\d\d))?/) ?? [];
  if (!year || text.includes("W")) return text ?? "";
  const form = { year: "numeric", ...(month && { month: long ? "long" : "short" }), ...(day && { day: "numeric" }) };
  const told = new Date(Number(year), Number(month ?? 1) - 1, Number(day ?? 1)).toLocaleDateString("en-GB", form);
  return long && time ? `${told}, ${time}` : told;
}

export const town = (hit) => [hit.city, hit.country].filter(Boolean).join(", ");

export function bytes(size) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let step = 0;
  while (size >= 1000 && step < 4) { size /= 1000; step += 1; }
  return `${size.toFixed(step ? 1 : 0)} ${units[step]}`;
}

export const KIND = { image: "photo", video: "video", audio: "sound", text: "text" };

/** By what a file of each kind is found if nothing is said of it. */
export const USUAL = { image: "sight", video: "sight", audio: "sound", text: "text" };

/** The text with parts of it marked: [start, stop) in characters, as the service counts them. */
export function marked(text, marks) {
  const letters = Array.from(text);
  let at = 0;
  const pieces = marks.flatMap(([start, stop]) => {
    const before = letters.slice(at, start).join("");
    at = stop;
    return [before, h("mark", {}, letters.slice(start, stop).join(""))];
  });
  return [...pieces, letters.slice(at).join("")];
}

/** A longer text with the same words marked as the snippet of a hit. */
export function markedAs(hit, text) {
  const letters = Array.from(hit.snippet ?? "");
  const words = new Set(hit.marks.map(([start, stop]) => letters.slice(start, stop).join("")));
  if (!words.size) return [text];
  const spaced = (word) => !/[\p{sc=Han}\p{sc=Hiragana}\p{sc=Katakana}\p{sc=Thai}\p{sc=Lao}\p{sc=Khmer}\p{sc=Myanmar}]/u.test(word);
  const plain = (word) => word.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&");
  const one = (word) => (spaced(word) ? `(?<![\\p{L}\\p{N}])${plain(word)}(?![\\p{L}\\p{N}])` : plain(word));
  const longest = [...words].sort((a, b) => b.length - a.length);
  const found = new RegExp(`(${longest.map(one).join("|")})`, "giu");
  return text.split(found).map((piece, n) => (n % 2 ? h("mark", {}, piece) : piece));
}

/** Dialogs close by their own button and by a click beside them. */
export function closable(dialog) {
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog || event.target.closest('[data-does="close"]')) dialog.close();
  });
  return dialog;
}

const COUNTED = { image: ["photo", "photos"], video: ["video", "videos"], audio: ["sound", "sounds"], text: ["text", "texts"] };

/** "3 photos · 1 sound" of numbers by kind; "" for no files. */
export const counted = (byModality) => Object.entries(COUNTED)
  .map(([kind, words]) => [byModality[kind] ?? 0, words])
  .filter(([n]) => n)
  .map(([n, [one, many]]) => `${n.toLocaleString()} ${n === 1 ? one : many}`)
  .join(" · ");
