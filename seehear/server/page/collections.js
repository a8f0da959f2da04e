// The list of the collections of a service.

import * as api from "./api.js";
import { askForToken } from "./door.js";
import { $, counted, h } from "./dom.js";

const LOOK_AGAIN_MS = 3000;

const sentence = (text) => text[0].toUpperCase() + text.slice(1);

function entry({ name, address, ready, message, by_modality: byModality }) {
  const says = ready ? counted(byModality) || "No files are indexed yet" : `${sentence(message)}`;
  return h("li.card", {}, h("h2", {}, h("a", { href: address }, name)), h(ready ? "p" : "p.trouble", {}, says));
}

/** Show the list; look again while a collection is not ready. */
async function show() {
  let again = true;
  try {
    const { required, signed_in: signedIn } = await api.session();
    if (required && !signedIn) { askForToken(show); return; }
    const { collections } = await api.collections();
    const list = $("#collections");
    // What has the focus stays while nothing changes.
    const told = JSON.stringify(collections);
    if (list.dataset.told !== told) list.replaceChildren(...collections.map(entry));
    list.dataset.told = told;
    $("#says").textContent = collections.length ? "" : "There is nothing to search yet.";
    again = !collections.length || collections.some(({ ready }) => !ready);
  } catch (error) {
    $("#says").textContent = error.message;
  } finally {
    document.body.classList.remove("busy");
  }
  if (again) setTimeout(show, LOOK_AGAIN_MS);
}

show();
