// Workers: who is there, what they run, more or fewer children.

import { h } from "../common/dom.js";
import { number, t } from "../common/i18n.js";
import { act, badge, button, card, confirmed, table } from "./parts.js";

const path = (name, rest) => `/admin/workers/${encodeURIComponent(name)}/${rest}`;
const told = (name) => (answer) => t("was_told", { name, answer: answer.answer ?? "" });

async function stop(name) {
    if (await confirmed(t("stop_q", { name }), t("stop_text"), t("stop"), true)) {
        await act(path(name, "stop"), undefined, told(name));
    }
}

function stateOf(worker) {
    if (!worker.alive) {
        return badge("bad", t("gone"));
    }
    if (worker.stopping) {
        return badge("warn", t("stopping"));
    }
    const running = worker.running ?? 0;
    return running ? badge("busy", `${t("runs_what")}: ${number(running)}`) : badge("plain", t("idle"));
}

function actions(worker) {
    const name = worker.name;
    if (!worker.alive || !name) {
        return null;
    }
    return h("div", { class: "row-actions" },
        button({ key: `grow-${name}`, label: t("grow"), scope: "operate", about: name, onclick: () => act(path(name, "grow"), {}, told(name)) }),
        button({ key: `shrink-${name}`, label: t("shrink"), scope: "operate", about: name, onclick: () => act(path(name, "shrink"), {}, told(name)) }),
        button({ key: `stop-${name}`, label: t("stop"), scope: "admin", danger: true, about: name, onclick: () => stop(name) }));
}

export const workersCard = () => card({
    id: "workers", title: t("workers"),
    draw: (list) => table(t("workers"), [
        { label: t("name"), cell: (w) => [h("strong", null, w.name ?? w.boot), h("div", { class: "muted small" }, `${t("children", { n: number(w.children ?? 0) })} · ${w.version ?? ""}`)] },
        { label: t("state"), cell: stateOf },
        { label: "", class: "num", cell: actions },
    ], list, t("no_workers")),
});

/** Of the overview, without what changes each second. */
export const workersOf = (doc) => (doc.workers ?? []).map((w) => ({
    name: w.name, boot: w.boot, alive: w.alive, stopping: w.stopping, children: w.children, version: w.version, running: (w.running ?? []).length,
}));
