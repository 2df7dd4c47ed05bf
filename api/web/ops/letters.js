// Dead letters and the quarantine: two lists of messages that were put aside.

import { h } from "../common/dom.js";
import { number, t } from "../common/i18n.js";
import { act, button, card, confirmed, pairs, problemText, showDialog, since, table } from "./parts.js";
import { read } from "./session.js";

const SHOWN = 20;
const nameOf = (letter) => letter.handle;

function said(answer) {
    return answer.refused
        ? t("changed_refused", { n: number(answer.changed), refused: number(answer.refused) }) + (answer.why ?? "")
        : t("changed", { n: number(answer.changed) });
}

/** path: of the list; back: what puts a letter back ("retry", "replay"), and its scope. */
function lettersCard({ id, title, path, back, empty, noun }) {
    const change = (verb, body) => act(`${path}/${verb}`, body, said);

    async function show(letter) {
        try {
            const doc = await read(`${path}/${encodeURIComponent(nameOf(letter))}`);
            showDialog(t("letter_title", { id: doc.id ?? doc.handle }),
                pairs([doc.task ? [t("task"), doc.task] : null, [t("queue"), doc.queue ?? "–"], [t("when"), doc.at ? since(doc.at) : "–"],
                    doc.retries !== undefined ? [t("retries"), number(doc.retries)] : null, [t("size"), number(doc.bytes)]]),
                h("h3", null, t("error")), h("pre", { class: "pre", tabindex: "0" }, doc.error ?? doc.reason ?? ""),
                h("h3", null, t("message")), h("pre", { class: "pre", tabindex: "0" }, doc.message ?? doc.hex ?? "–"));
        } catch (error) {
            showDialog(t("did_not_work"), h("p", null, problemText(error)));
        }
    }

    async function all(verb, total) {
        const drop = verb === "drop";
        const yes = await confirmed(t("all_q", { n: number(total) }), t(drop ? "drop_text" : "retry_all_text"), t(verb), drop);
        if (yes) {
            await change(verb, { all: true });
        }
    }

    async function dropOne(letter) {
        if (await confirmed(t("drop"), t("drop_text"), t("drop"), true)) {
            await change("drop", { names: [nameOf(letter)] });
        }
    }

    function draw(doc) {
        if (doc.letters.length === 0) {
            return h("p", { class: "muted empty" }, t(empty));
        }
        return [
            h("div", { class: "row-actions card-actions" },
                button({ key: `${id}-back-all`, label: t(`${back}_all`), scope: "operate", onclick: () => all(back, doc.total) }),
                button({ key: `${id}-drop-all`, label: t("drop_all"), scope: "admin", danger: true, onclick: () => all("drop", doc.total) })),
            table(t(noun), [
                { label: t("when"), cell: (x) => (x.at ? since(x.at) : "–") },
                { label: t("task"), cell: (x) => h("button", { type: "button", class: "link", "data-key": `${id}-${nameOf(x)}`, onclick: () => show(x) }, x.task ?? nameOf(x)) },
                { label: t("reason"), class: "reason", cell: (x) => x.reason ?? "–" },
                {
                    label: "", class: "num", cell: (x) => h("div", { class: "row-actions" },
                        button({ key: `${id}-back-${nameOf(x)}`, label: t(back), scope: "operate", about: x.id ?? nameOf(x), onclick: () => change(back, { names: [nameOf(x)] }) }),
                        button({ key: `${id}-drop-${nameOf(x)}`, label: t("drop"), scope: "admin", danger: true, about: x.id ?? nameOf(x), onclick: () => dropOne(x) })),
                },
            ], doc.letters, t(empty)),
            doc.total > doc.letters.length ? h("p", { class: "muted small" }, t("more_letters", { n: number(doc.letters.length), total: number(doc.total) })) : null,
        ];
    }

    const one = card({ id, title, wide: true, draw });
    return {
        element: one.element,
        address: `${path}?limit=${SHOWN}`,
        show: (doc) => one.show({ total: doc.total, letters: doc.letters }, doc.total),
        again: one.again,
    };
}

export const deadCard = () => lettersCard({ id: "dead", title: t("dead"), noun: "dead", path: "/admin/dead", back: "retry", empty: "no_dead" });
export const quarantineCard = () => lettersCard({ id: "quarantine", title: t("quarantine"), noun: "quarantine", path: "/admin/quarantine", back: "replay", empty: "no_quarantine" });

