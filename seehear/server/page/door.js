// Signing in: the dialog that takes the token.

import { signIn } from "./api.js";
import { $, h } from "./dom.js";

/** Ask for the token, and call `onSignedIn` when it was right. */
export function askForToken(onSignedIn) {
  if ($("#door")) return;
  const token = h("input", { id: "token", type: "password", autocomplete: "current-password", required: true });
  const says = h("p", { id: "door-says", role: "alert" });
  const submit = async (event) => {
    event.preventDefault();
    try {
      await signIn(token.value);
      dialog.remove();
      onSignedIn();
    } catch (error) {
      says.textContent = error.message;
    }
  };
  const dialog = h("dialog", { id: "door", "aria-labelledby": "door-title", oncancel: (event) => event.preventDefault() }, h(
    "form", { id: "sign-in", onsubmit: submit },
    h("h2", { id: "door-title" }, "This service needs a token"),
    h("label", {}, "Token", token),
    says,
    h("button.strong", {}, "Sign in"),
  ));
  document.body.append(dialog);
  dialog.showModal();
}
