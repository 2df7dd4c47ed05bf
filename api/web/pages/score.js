// How the score works: the formula, a calculator with real averages, and the tiers.

import { byId, fill, h, markReady } from "../common/dom.js";
import { bar } from "../common/figures.js";
import { getJson } from "../common/http.js";
import { decimal, number, t } from "../common/i18n.js";
import { createTable } from "../common/table.js";
import { PARTS, TIER_FROM, partPoints, rounded } from "./formula.js";
import { STATS, TIERS, keepTrying, loadServers, notice, problemText, serverLabel, tierBadge } from "./parts.js";
import "./site.js";

function section(title, ...content) {
    return h("section", { class: "card card-pad score-section" }, h("h2", null, title), content);
}

// ---- the formula ----

function partCard(part) {
    const help = part.stats.length > 1 ? t(`part_${part.key}_help`) : t("part_plain");
    return h("li", { class: "part" }, h("b", { class: "part-weight" }, `${decimal(part.weight * 100, 0)}%`), h("span", { class: "part-name" }, t(`part_${part.key}`)),
        bar({ value: part.weight, most: 0.3, className: "bar-over" }), h("span", { class: "muted small" }, help));
}

function formulaText() {
    const terms = PARTS.map((p, i) => `${i ? " + " : ""}${decimal(p.weight, 2)} × ${t(`part_${p.key}`)}`).join("");
    return h("p", { class: "formula" }, `${t("formula_score")}${terms})`);
}

// ---- trying it out ----

const WIDEST = 2.5; // times the average, of a slider

function createCalculator(details, start) {
    const byName = new Map(details.filter((d) => d.averages).map((d) => [d.server, d]));
    let averages = byName.get(start).averages;
    let values = { ...averages };
    let tiers = [];
    const total = h("output", { class: "score-big", for: STATS.map((s) => `try-${s}`).join(" ") });
    const tierLine = h("p", { class: "try-tier" });
    const parts = h("ul", { class: "try-parts" });
    const fields = h("div", { class: "try-fields" });
    const help = h("p", { class: "muted" });
    const tierTable = h("div", { class: "table-scroll card" });

    function drawResult() {
        const points = partPoints(values, averages);
        const score = rounded(points.reduce((all, p) => all + p.points, 0));
        const tier = tiers.find((x) => x.min_score !== null && score >= x.min_score)?.tier;
        total.textContent = number(score);
        fill(tierLine, tier ? [tierBadge(tier), " ", t("try_tier", { tier })] : t("try_tier_none"));
        fill(parts, points.map((p, i) => h("li", null, h("span", null, t(`part_${p.key}`)), bar({ value: p.points, most: 600, mark: PARTS[i].weight * 1000, className: "bar-over" }), h("b", null, decimal(p.points, 0)))));
    }

    function fieldOf(stat) {
        const most = Math.max(1, Math.round(averages[stat] * WIDEST));
        const slider = h("input", { type: "range", id: `try-${stat}`, min: "0", max: String(most), value: String(values[stat]), "aria-describedby": `avg-${stat}`, oninput: () => set(slider.value) });
        const exact = h("input", { class: "field", type: "number", min: "0", max: "1000000000000", value: String(values[stat]), "aria-label": t(`stat_${stat}`), oninput: () => set(exact.value) });
        function set(text) {
            values[stat] = Math.max(0, Math.min(1e12, Number.parseFloat(text) || 0));
            slider.value = String(values[stat]);
            if (document.activeElement !== exact) {
                exact.value = String(values[stat]);
            }
            drawResult();
        }
        return h("div", { class: "try-field" }, h("label", { for: `try-${stat}` }, t(`stat_${stat}`)), slider, exact,
            h("span", { class: "muted small", id: `avg-${stat}` }, `${t("average")} ${number(averages[stat])}`));
    }

    function drawFields() {
        fill(fields, STATS.map(fieldOf));
        drawResult();
    }

    function drawTiers(server) {
        const table = createTable({
            caption: t("tiers_heading"), className: "tier-table",
            columns: [{ key: "tier", label: t("tier"), head: true, cell: (x) => tierBadge(x.tier) },
                { key: "range", label: t("tier_range"), class: "num", cell: (x) => t("tier_from_to", { from: decimal(x.from), to: decimal(x.to) }) },
                { key: "now", label: t("now_on", { server: serverLabel(server) }), class: "num", cell: (x) => (x.min === null ? "–" : t("points", { score: number(x.min) })) }],
        });
        table.setRows(TIERS.map((tier, i) => ({ tier, from: TIER_FROM[tier], to: i + 1 < TIERS.length ? TIER_FROM[TIERS[i + 1]] : 100, min: tiers.find((x) => x.tier === tier)?.min_score ?? null })));
        fill(tierTable, table.element);
    }

    async function choose(server) {
        ({ tiers } = await getJson("/api/ranking/cutoffs", { server }));
        averages = byName.get(server).averages;
        values = { ...averages };
        help.textContent = t("try_help", { server: serverLabel(server) });
        drawFields();
        drawTiers(server);
    }

    const select = h("select", { class: "field", id: "try-server", onchange: () => choose(select.value) },
        [...byName.keys()].map((name) => h("option", { value: name, selected: name === start }, serverLabel(name))));
    const calculator = section(t("try_heading"), help, h("p", { class: "muted" }, t("try_example")),
        h("div", { class: "try-bar" }, h("label", { for: "try-server" }, t("server")), select,
            h("button", { type: "button", class: "button", onclick: () => { values = { ...averages }; drawFields(); } }, t("try_reset"))),
        h("div", { class: "try-grid" }, fields, h("div", { class: "try-result" }, h("p", { class: "muted" }, t("try_result")), total, tierLine, parts)));
    return { ready: choose(start), nodes: [calculator, section(t("tiers_heading"), h("p", null, t("tiers_help")), tierTable)] };
}

// ---- the page ----

const live = h("div", { class: "stack" });

async function load() {
    const servers = await loadServers();
    const start = servers.servers.find((name) => servers.details.some((d) => d.server === name && d.averages));
    if (!start) {
        fill(live, notice("info", t("no_ranking")));
    } else {
        const calculator = createCalculator(servers.details, start);
        await calculator.ready;
        fill(live, calculator.nodes);
    }
    markReady();
}

fill(byId("app"), h("div", { class: "stack score-page" },
    section(t("formula"), h("p", { class: "score-short" }, t("score_short")), h("ul", { class: "parts" }, PARTS.map(partCard)), formulaText()),
    live,
    section(t("rules_heading"), h("ul", { class: "rules" }, ["rule_who", "rule_when", "rule_order", "rule_zero", "rule_keep"].map((key) => h("li", null, t(key)))))));
keepTrying(load, (problem, again) => {
    fill(live, notice("error", problemText(problem), h("button", { type: "button", class: "button", onclick: again }, t("retry"))));
    markReady();
});
