// The log of changes: who did what, and what was refused.

import { h } from "../common/dom.js";
import { t } from "../common/i18n.js";
import { badge, card, since, table } from "./parts.js";

const unix = (text) => new Date(text).getTime() / 1000;

export const changesCard = () => card({
    id: "changes", title: t("changes"), wide: true,
    draw: (items) => table(t("changes"), [
        { label: t("when"), cell: (x) => since(unix(x.at)) },
        { label: t("who"), cell: (x) => [x.principal ?? "–", h("div", { class: "muted small" }, x.address ?? "")] },
        { label: t("action"), cell: (x) => x.action ?? "–" },
        { label: t("target"), class: "reason", cell: (x) => x.target ?? "" },
        { label: t("outcome"), cell: (x) => (x.status < 400 ? badge("good", t("done")) : badge("warn", `${t("refused")} (${x.status})`)) },
    ], items, t("no_changes")),
});
