// What went wrong, in words, beside what was asked; with what may have been meant.

import { $, h } from "./dom.js";

const place = $("#trouble");
let marked = null;

/** The field that a message is about, and the text in it that is wrong. */
function fault(message) {
  const [, what, asked] = message.match(/^No ([\w ]+?)(?: contains| matches)? "([^"]*)"/) ?? [];
  const [under, where] = [$("#under"), $("#where")];
  if (what === "folder" && under.value && !where.value.includes(asked)) return [under, under.value];
  const isFilter = what || /filter|character \d+\)/.test(message);
  return isFilter && where.value ? [where, asked ?? ""] : [null, ""];
}

/** Show a message; `mended` is called after a person took one of the suggestions. */
export function show(message, mended) {
  clear();
  const [field, wrong] = fault(message);
  const [, told] = message.match(/ Did you mean (.+)\?/) ?? [];
  const nearest = field && told ? told.split(/, | or /) : [];
  const take = (value) => () => {
    const quoted = field.id === "where" && /[^\w.-]/.test(value) ? `"${value}"` : value;
    field.value = wrong === field.value ? value : field.value.replace(new RegExp(`"?${wrong.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&")}"?`), () => quoted);
    mended();
    $("#narrow").focus();
  };
  place.replaceChildren(message, ...nearest.map((value) => h("button", { type: "button", onclick: take(value) }, value)));
  place.hidden = false;
  if (field) {
    marked = field;
    field.setAttribute("aria-invalid", "true");
    field.setAttribute("aria-describedby", "trouble");
  }
}

export function clear() {
  place.hidden = true;
  marked?.removeAttribute("aria-invalid");
  marked?.removeAttribute("aria-describedby");
  marked = null;
}
