// Queues: how much waits, what it is, emptying one.

import { h } from "../common/dom.js";
import { number, t } from "../common/i18n.js";
import { act, button, card, code, problemText, promptDialog, seconds, showDialog, table } from "./parts.js";
import { read } from "./session.js";

const path = (name, rest = "") => `/admin/queues/${encodeURIComponent(name)}${rest}`;

function messages(title, list, first) {
    return table(title, [first,
        { label: t("task"), cell: (m) => m.task ?? m.fault ?? "–" },
        { label: t("id"), cell: (m) => (m.id ? code(m.id) : "–") },
        { label: t("size"), class: "num", cell: (m) => number(m.bytes) },
    ], list, t("no_messages"));
}

async function look(name) {
    try {
        const doc = await read(path(name));
        const title = t("messages_of", { name });
        showDialog(title, messages(title, doc.messages, { label: t("oldest"), cell: (m) => seconds(m.age_s) }));
    } catch (error) {
        showDialog(t("did_not_work"), h("p", null, problemText(error)));
    }
}

async function lookDelayed() {
    try {
        const doc = await read("/admin/delayed");
        showDialog(t("delayed_title"), messages(t("delayed_title"), doc.messages, { label: t("due_in"), cell: (m) => seconds(m.due_in_s) }));
    } catch (error) {
        showDialog(t("did_not_work"), h("p", null, problemText(error)));
    }
}

async function purge(queue) {
    const typed = await promptDialog({
        title: t("purge_title", { name: queue.name }), text: t("purge_text", { n: number(queue.ready) }),
        label: t("purge_label", { name: queue.name }), must: queue.name, confirm: t("purge"), danger: true,
    });
    if (typed) {
        await act(path(queue.name, "/purge"), { confirm: typed }, t("was_purged", { name: queue.name }));
    }
}

export const queuesCard = () => card({
    id: "queues", title: t("queues"),
    tools: button({ key: "delayed", label: t("delayed"), scope: "read", onclick: lookDelayed }),
    draw: (queues) => table(t("queues"), [
        { label: t("queue"), cell: (q) => h("strong", null, q.name) },
        { label: t("ready"), class: "num", cell: (q) => number(q.ready) },
        { label: t("oldest"), class: "num", cell: (q) => (q.ready ? seconds(q.oldest_s) : "–") },
        {
            label: "", class: "num", cell: (q) => h("div", { class: "row-actions" },
                button({ key: `look-${q.name}`, label: t("look"), scope: "read", about: q.name, onclick: () => look(q.name) }),
                button({ key: `purge-${q.name}`, label: t("purge"), scope: "admin", danger: true, about: q.name, onclick: () => purge(q) })),
        },
    ], queues, "–"),
});
