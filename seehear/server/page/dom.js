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

export function bytes(size) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let step = 0;
  while (size >= 1000 && step < 4) { size /= 1000; step += 1; }
  return `${size.toFixed(step ? 1 : 0)} ${units[step]}`;
}

export const KIND = { image: "photo", video: "video", audio: "sound", text: "text" };

const FILLER = new Set("the and for with from that this are was were not but you your its has had".split(" "));

/** The text with the words of the query marked, at the beginnings of its own words. */
export function marked(text, query) {
  const words = (query.toLowerCase().match(/[\p{L}\p{N}]{3,}/gu) ?? []).filter((word) => !FILLER.has(word));
  if (!words.length) return [text];
  const found = new RegExp(`(?<![\\p{L}\\p{N}])(${words.join("|")})`, "giu");
  return text.split(found).map((piece, n) => (n % 2 ? h("mark", {}, piece) : piece));
}

/** Dialogs close by their own button and by a click beside them. */
export function closable(dialog) {
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog || event.target.closest('[data-does="close"]')) dialog.close();
  });
  return dialog;
}
