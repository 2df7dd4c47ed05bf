// What the sections are made of: cards that are drawn again only when their data change, times that
// count by themselves, buttons that change something after a question.

import { confirmDialog, focusKept } from "../common/dialog.js";
import { announce, fill, h, toast } from "../common/dom.js";
import { Problem } from "../common/http.js";
import { minutes, number, t, when } from "../common/i18n.js";
import { change, mayDo } from "./session.js";

export const iso = (unix) => new Date(unix * 1000).toISOString();

// ---- times ----

function spanText(seconds) {
    const s = Math.max(0, Math.round(seconds));
    return s >= 86400 ? t("days", { d: Math.floor(s / 86400), h: Math.floor(s / 3600) % 24 }) : minutes(s);
}

function tick(element) {
    const now = Date.now() / 1000;
    element.textContent = element.dataset.since
        ? spanText(now - Number(element.dataset.since))
        : spanText(Number(element.dataset.until) - now);
}

/** How long ago; counts up. */
export function since(unix) {
    const element = h("time", { "data-since": unix, datetime: iso(unix), title: when(iso(unix)) });
    tick(element);
    return element;
}

/** In how long; counts down to 0. */
export function until(unix) {
    const element = h("time", { "data-until": unix, datetime: iso(unix), title: when(iso(unix)) });
    tick(element);
    return element;
}

setInterval(() => document.querySelectorAll("time[data-since], time[data-until]").forEach(tick), 1000);

export function seconds(s) {
    return s === null || s === undefined ? "–" : s < 10 ? t("seconds", { n: s.toFixed(2) }) : spanText(s);
}

// ---- cards ----

/** The control that had the focus has it again after the section was drawn anew. */
function keepFocus(element, draw) {
    const key = element.contains(document.activeElement) ? document.activeElement.dataset.key : null;
    draw();
    if (key) {
        element.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus();
    }
}

/**
 * A section with a heading. draw(data) gives its content; show(data) draws when the data differ from
 * those that are there.
 */
export function card({ id, title, wide = false, tools = null, draw }) {
    const body = h("div", { class: "card-body" });
    const count = h("span", { class: "count" });
    const element = h("section", { class: `card card-pad${wide ? " wide" : ""}`, id, "aria-labelledby": `${id}-title` },
        h("div", { class: "card-head" }, h("h2", { id: `${id}-title` }, title, " ", count), tools), body);
    let shown = null;
    return {
        element,
        show(data, n = null) {
            const text = JSON.stringify(data);
            if (text !== shown) {
                shown = text;
                keepFocus(element, () => fill(body, draw(data)));
                count.textContent = n ? number(n) : "";
            }
        },
        again() {
            shown = null;
        },
    };
}

export function table(caption, columns, rows, empty) {
    if (rows.length === 0) {
        return h("p", { class: "muted empty" }, empty);
    }
    return h("div", { class: "table-scroll", tabindex: "0", role: "group", "aria-label": caption },
        h("table", { class: "table ops-table" },
            h("caption", { class: "sr-only" }, caption),
            h("thead", null, h("tr", null, columns.map((c) => h("th", { scope: "col", class: c.class ?? null }, c.label)))),
            h("tbody", null, rows.map((row) => h("tr", null, columns.map((c, i) =>
                h(i === 0 ? "th" : "td", { class: c.class ?? null, scope: i === 0 ? "row" : null }, c.cell(row))))))));
}

/** kind: good, warn, bad, plain. Said in words, not only in colour. */
export function badge(kind, text) {
    return h("span", { class: "badge", "data-kind": kind }, text);
}

export function pairs(list) {
    return h("dl", { class: "pairs" }, list.filter(Boolean).map(([name, value]) => h("div", null, h("dt", null, name), h("dd", null, value))));
}

export const code = (text) => h("code", { class: "code" }, text);

// ---- changes ----

/** A question with one line to fill in; resolves with the text, or null. must: only this will do. */
export function promptDialog({ title, text, label, confirm, must = null, danger = false }) {
    const giveBack = focusKept();
    const field = h("input", { class: "field", id: "prompt-field", type: "text", maxlength: 100, autocomplete: "off", required: true });
    const yes = h("button", { class: danger ? "button button-danger" : "button button-main", value: "yes", disabled: must !== null }, confirm);
    const dialog = h("dialog", { class: "dialog", "aria-labelledby": "dialog-title" },
        h("h2", { id: "dialog-title" }, title), h("p", null, text),
        h("form", { method: "dialog" },
            h("label", { class: "prompt-label", for: "prompt-field" }, label), field,
            h("div", { class: "dialog-buttons" },
                h("button", { class: "button", value: "no", formnovalidate: true }, t("cancel")), yes)));

    field.addEventListener("input", () => {
        yes.disabled = must !== null && field.value !== must;
    });
    field.addEventListener("keydown", (event) => { // else Enter would take the first button, which is "no"
        if (event.key === "Enter" && !event.isComposing) { // not the one that ends a Hangul syllable
            event.preventDefault();
            yes.click();
        }
    });
    document.body.append(dialog);
    dialog.showModal();
    field.focus();
    return new Promise((resolve) => {
        dialog.addEventListener("close", () => {
            dialog.remove();
            giveBack();
            resolve(dialog.returnValue === "yes" ? field.value.trim() : null);
        });
    });
}

/** Something to read, with a button to close it. */
export function showDialog(title, ...content) {
    const giveBack = focusKept();
    const dialog = h("dialog", { class: "dialog dialog-wide", "aria-labelledby": "dialog-title" },
        h("h2", { id: "dialog-title" }, title), h("div", { class: "dialog-content" }, content),
        h("form", { method: "dialog", class: "dialog-buttons" }, h("button", { class: "button button-main" }, t("close"))));
    document.body.append(dialog);
    dialog.showModal();
    dialog.addEventListener("close", () => {
        dialog.remove();
        giveBack();
    });
}

export function problemText(error) {
    if (error instanceof Problem && error.status === 0) {
        return t("no_answer");
    }
    return error instanceof Problem ? `${error.message} (${error.status})` : String(error.message ?? error);
}

let afterChange = () => {};
export function onChanged(fn) {
    afterChange = fn;
}

/** Does it, says how it went, and has the page look again. Resolves with the answer, or null. */
export async function act(path, body, said) {
    try {
        const answer = await change(path, body);
        toast(typeof said === "function" ? said(answer) : said);
        afterChange();
        return answer;
    } catch (error) {
        announce(problemText(error));
        showDialog(t("did_not_work"), h("p", null, problemText(error)));
        return null;
    }
}

/** scope: what one must be allowed to; the button is there but off for others, and says why. */
export function button({ key, label, scope, danger = false, main = false, onclick, about = null }) {
    const allowed = mayDo(scope);
    return h("button", {
        type: "button", "data-key": key,
        class: `button button-small${danger ? " button-danger" : main ? " button-main" : ""}`,
        "aria-disabled": allowed ? null : "true",
        title: allowed ? null : t("needs_scope", { scope }),
        "aria-label": about ? `${label}: ${about}` : null,
        onclick: allowed ? onclick : () => toast(t("needs_scope", { scope })),
    }, label);
}

export async function confirmed(title, text, confirm, danger = false) {
    return confirmDialog({ title, text, confirm, cancel: t("cancel"), danger });
}
