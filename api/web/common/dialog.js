// A question before something that cannot be taken back.

import { h } from "./dom.js";

/** Resolves with true when confirmed; Escape and the other button are false. The focus goes back. */
export function confirmDialog({ title, text, confirm, cancel, danger = false }) {
    const before = document.activeElement;
    const dialog = h("dialog", { class: "dialog", "aria-labelledby": "dialog-title" },
        h("h2", { id: "dialog-title" }, title),
        h("p", null, text),
        h("form", { method: "dialog", class: "dialog-buttons" },
            h("button", { class: "button", value: "no" }, cancel),
            h("button", { class: danger ? "button button-danger" : "button button-main", value: "yes" }, confirm)));

    document.body.append(dialog);
    dialog.showModal();
    return new Promise((resolve) => {
        dialog.addEventListener("close", () => {
            dialog.remove();
            before?.focus?.();
            resolve(dialog.returnValue === "yes");
        });
    });
}
