// Beside the board: characters kept in this browser, what tiers take, what was updated last.

import { confirmDialog } from "../common/dialog.js";
import { fill, h } from "../common/dom.js";
import { getJson } from "../common/http.js";
import { ago, number, t } from "../common/i18n.js";
import { aboutLine, characterAnchor, favourites, loadServers, recent, tierBadge } from "./parts.js";

const SHOWN_TIERS = ["S5", "S1", "A5", "A1", "B1", "C1"];
const SHOWN = 6;

function card(heading, ...content) {
    return h("section", { class: "card card-pad side-card" }, h("div", { class: "card-head" }, heading), content);
}

function people(list, about) {
    return h("ul", { class: "side-list" }, list.slice(0, SHOWN).map((c) =>
        h("li", null, characterAnchor(c), h("span", { class: "about" }, about(c)))));
}

function drawKept(element) {
    const kept = favourites.all();
    const seen = recent.all();
    const forget = h("button", {
        type: "button", class: "link-button",
        async onclick() {
            if (await confirmDialog({ title: t("clear_recent_ask"), text: t("clear_recent_text"), confirm: t("clear_recent"), cancel: t("cancel") })) {
                recent.clear();
                drawKept(element);
            }
        },
    }, t("clear_recent"));
    fill(element,
        h("div", { class: "card-head" }, h("h2", null, t("favourites"))),
        kept.length ? people(kept, aboutLine) : h("p", { class: "muted small" }, t("nobody_kept")),
        seen.length ? [h("div", { class: "card-head side-second" }, h("h2", null, t("recent")), forget), people(seen, aboutLine)] : null);
}

/** {element, setTiers(tiers, server)} */
export function createSide() {
    const kept = h("section", { class: "card card-pad side-card" });
    const tiers = h("div", { class: "side-tiers" });
    const tiersTitle = h("h2", null, t("cutoffs"));
    const latest = h("div", { class: "side-latest" });

    drawKept(kept);
    Promise.all([getJson("/api/updates", { limit: SHOWN }), loadServers()]).then(
        ([data]) => fill(latest, people(data.updates.map((u) => ({ ...u, name: u.character_name })), (u) => `${ago(u.updated_at)} · ${aboutLine(u)}`)),
        () => fill(latest, h("p", { class: "muted small" }, t("error_busy"))),
    );
    return {
        element: h("aside", { class: "board-side" }, kept, card(tiersTitle, tiers), card(h("h2", null, t("latest")), latest)),
        // What a tier takes differs from server to server: over all of them only how many have it says something.
        setTiers(list, server) {
            tiersTitle.textContent = t(server ? "cutoffs" : "tier_counts");
            const value = (x) => (!server ? t("tier_count", { n: number(x.count) }) : x.min_score === null ? "–" : t("points", { score: number(x.min_score) }));
            const rows = list.filter((x) => SHOWN_TIERS.includes(x.tier));
            fill(tiers, h("dl", { class: "tier-list" }, rows.map((x) => h("div", null,
                h("dt", null, tierBadge(x.tier, "tier-small")),
                h("dd", null, value(x))))));
        },
    };
}
