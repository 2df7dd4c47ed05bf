// What is sent when, and why a slot was or was not.

import { fill, h } from "../common/dom.js";
import { t, when } from "../common/i18n.js";
import { act, badge, button, card, confirmed, iso, problemText, promptDialog, showDialog, since, table, until } from "./parts.js";
import { read } from "./session.js";

const path = (name, rest = "") => `/admin/schedules/${encodeURIComponent(name)}${rest}`;

async function pause(name) {
    const reason = await promptDialog({ title: t("pause_title", { name }), text: t("pause_text"), label: t("pause_label"), confirm: t("pause") });
    if (reason) {
        await act(path(name, "/pause"), { reason }, t("was_paused", { name }));
    }
}

async function runNow(name) {
    if (await confirmed(t("run_now_q", { name }), t("run_now_text"), t("run_now"))) {
        await act(path(name, "/run"), undefined, t("was_run", { name }));
    }
}

function whyForm(name) {
    const answer = h("p", { class: "why-answer", role: "status" });
    const field = h("input", { class: "field", id: "why-slot", name: "slot", maxlength: 40, autocomplete: "off", required: true });
    return h("form", {
        class: "why",
        onsubmit: async (event) => {
            event.preventDefault();
            try {
                fill(answer, (await read(`${path(name, "/why")}?${new URLSearchParams({ slot: field.value })}`)).text);
            } catch (error) {
                fill(answer, problemText(error));
            }
        },
    }, h("label", { for: "why-slot" }, t("why_label")), field, h("button", { class: "button button-small" }, t("why")), answer);
}

async function showSlots(name) {
    try {
        const doc = await read(`${path(name)}?next=5&last=10`);
        showDialog(t("slots_title", { name }), whyForm(name),
            h("h3", null, t("last_slots")),
            (doc.last_slots ?? []).length
                ? h("ul", { class: "lines" }, doc.last_slots.map((slot) => h("li", null, slot.text)))
                : h("p", { class: "muted" }, t("no_slots")),
            h("h3", null, t("next_slots")),
            h("ul", { class: "lines" }, (doc.next_slots ?? []).map((slot) => h("li", null, when(iso(slot.at)), " ", h("span", { class: "muted" }, slot.text)))));
    } catch (error) {
        showDialog(t("did_not_work"), h("p", null, problemText(error)));
    }
}

const reasonOf = (paused) => (typeof paused === "string" ? paused : paused?.reason ?? "");

function actions(one) {
    const name = one.name;
    return h("div", { class: "row-actions" },
        button({ key: `slots-${name}`, label: t("slots"), scope: "read", about: name, onclick: () => showSlots(name) }),
        one.paused
            ? button({ key: `pause-${name}`, label: t("resume"), scope: "operate", about: name, onclick: () => act(path(name, "/resume"), undefined, t("was_resumed", { name })) })
            : button({ key: `pause-${name}`, label: t("pause"), scope: "operate", about: name, onclick: () => pause(name) }),
        button({ key: `run-${name}`, label: t("run_now"), scope: "operate", about: name, onclick: () => runNow(name) }));
}

export const schedulesCard = () => card({
    id: "schedules", title: t("schedules"), wide: true,
    draw: (list) => table(t("schedules"), [
        { label: t("schedule"), cell: (x) => [h("strong", null, x.name), " ", x.paused ? badge("warn", `${t("paused")}: ${reasonOf(x.paused)}`) : null, x.error ? badge("bad", x.error) : null] },
        { label: t("timetable"), cell: (x) => x.when ?? "–" },
        { label: t("last_slot"), cell: (x) => (x.last ? since(x.last) : "–") },
        { label: t("next_slot"), cell: (x) => (x.next && !x.paused ? until(x.next) : "–") },
        { label: "", class: "num", cell: actions },
    ], list, "–"),
});
