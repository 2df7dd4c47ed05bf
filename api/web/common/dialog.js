// A question before something that cannot be taken back.

import { h } from "./dom.js";

/** Where the focus goes after a dialog; what was drawn anew meanwhile is found by its data-key. */
export function focusKept() {
    const before = document.activeElement;
    const key = before?.dataset?.key;
    const home = before?.closest?.("section, main");
    return () => {
        const again = before?.isConnected ? before : key ? document.querySelector(`[data-key="${CSS.escape(key)}"]`) : null;
        if (again) {
            again.focus?.();
        } else if (document.activeElement === document.body) {
            (home?.isConnected ? home.querySelector("button, a[href], [tabindex]") : document.getElementById("main"))?.focus();
        }
    };
}

/** Resolves with true when confirmed; Escape and the other button are false. The focus goes back. */
export function confirmDialog({ title, text, confirm, cancel, danger = false }) {
    const giveBack = focusKept();
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
            giveBack();
            resolve(dialog.returnValue === "yes");
        });
    });
}
