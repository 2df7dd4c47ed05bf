// The log of changes: who did what, and what was refused.

import { h } from "../common/dom.js";
import { t } from "../common/i18n.js";
import { badge, card, since, table } from "./parts.js";

const unix = (text) => new Date(text).getTime() / 1000;

/** Without a status it was begun, and nobody knows how it ended. */
function outcome(change) {
    if (change.status === null) {
        return badge("warn", t("end_unknown"));
    }
    return change.status < 400 ? badge("good", t("done"))
        : badge(change.status < 500 ? "warn" : "bad", `${t(change.status < 500 ? "refused" : "did_not_work")} (${change.status})`);
}

export const changesCard = () => card({
    id: "changes", title: t("changes"), wide: true,
    draw: (items) => table(t("changes"), [
        { label: t("when"), cell: (x) => since(unix(x.at)) },
        { label: t("who"), cell: (x) => [x.principal ?? "–", h("div", { class: "muted small" }, x.address ?? "")] },
        { label: t("action"), cell: (x) => x.action ?? "–" },
        { label: t("target"), class: "reason", cell: (x) => x.target ?? "" },
        { label: t("outcome"), cell: outcome },
    ], items, t("no_changes")),
});
