// Two to four characters side by side.

import { byId, fill, h, markReady } from "../common/dom.js";
import { radar } from "../common/figures.js";
import { getJson } from "../common/http.js";
import { decimal, number, signed, t } from "../common/i18n.js";
import { COMPARE_MAX, KEYS, basket, compareLink } from "./basket.js";
import { STATS, aboutLine, characterAnchor, classLabel, keepTrying, loadServers, nameText, notice, problemText, serverLabel, tierBadge } from "./parts.js";
import { attachSearch } from "./search.js";
import "./site.js";

function parse(pair) {
    const at = pair.indexOf(":");
    return at > 0 ? { server: pair.slice(0, at), name: pair.slice(at + 1) } : null;
}

function readAddress() {
    const params = new URLSearchParams(location.search);
    return KEYS.map((key) => params.get(key)).filter(Boolean).map(parse).filter(Boolean);
}

let chosen = readAddress();
let stop = () => {};
let controller = new AbortController();

const chips = h("div", { class: "picked" });
const field = h("input", { class: "field", id: "compare-search", type: "text", inputmode: "search", autocomplete: "off", spellcheck: "false", maxlength: "64", placeholder: t("compare_add") });
const picker = h("div", { class: "picker" }, h("label", { class: "sr-only", for: "compare-search" }, t("compare_add")), field);
const result = h("div", { class: "compare-result" });

// ---- rows ----

const better = (high) => (values) => {
    const known = values.filter((v) => v !== null && v !== undefined);
    return known.length > 1 ? Math[high ? "max" : "min"](...known) : null;
};

/** value: a number, or null; high: more is better; difference is shown beside it. */
const ROWS = [
    { label: t("score"), value: (c) => c.power_score, high: true },
    { label: t("tier"), node: (c) => tierBadge(c.power_rank) },
    { label: t("ranks_all"), value: (c) => c.ranks?.all.rank, show: (v) => t("place", { rank: number(v) }), high: false },
    { label: t("ranks_server"), value: (c) => c.ranks?.server.rank, show: (v) => t("place", { rank: number(v) }), high: false },
    { label: t("ranks_class"), value: (c) => c.ranks?.class.rank, show: (v) => t("place", { rank: number(v) }), high: false },
    { label: t("power"), value: (c) => c.power, high: true },
    { label: t("item_level_short"), value: (c) => c.item_level, high: true },
    { label: t("level"), value: (c) => c.level, high: true },
    ...STATS.map((stat) => ({ label: t(`stat_${stat}`), value: (c) => c.stats?.[stat], high: true, stat: true })),
];

function difference(row, value, first) {
    if (value === null || value === undefined || first === null || first === undefined || value === first) {
        return null;
    }
    const good = (value > first) === row.high;
    return h("span", { class: good ? "diff over" : "diff under" }, signed(value - first));
}

function cell(row, c, i, best, first) {
    if (row.node) {
        return h("td", null, row.node(c));
    }
    const value = row.value(c) ?? null;
    const isBest = value !== null && value === best;
    return h("td", { class: isBest ? "best" : null },
        h("span", { class: "compare-value" }, value === null ? "–" : (row.show ?? number)(value)),
        isBest ? h("span", { class: "sr-only" }, ` (${t("best")})`) : null,
        i > 0 ? difference(row, value, first) : null);
}

function tableOf(characters) {
    const head = h("tr", null, h("th", { scope: "col" }, t("compare_item")),
        characters.map((c, i) => h("th", { scope: "col" }, h("span", { class: `key series-${i + 1}`, "aria-hidden": "true" }), characterAnchor(c), h("span", { class: "about" }, aboutLine(c)))));
    const rows = ROWS.map((row) => {
        const values = row.node ? [] : characters.map((c) => row.value(c) ?? null);
        const best = row.node ? null : better(row.high)(values);
        const tied = values.filter((v) => v === best).length === values.length;
        return h("tr", { class: row.stat ? "stat-row" : null }, h("th", { scope: "row" }, row.label),
            characters.map((c, i) => cell(row, c, i, tied ? null : best, values[0])));
    });
    return h("table", { class: "table compare-table" }, h("caption", { class: "sr-only" }, t("compare_caption")), h("thead", null, head), h("tbody", null, rows));
}

function radarOf(characters) {
    const most = STATS.map((stat) => Math.max(1, ...characters.map((c) => c.stats?.[stat] ?? 0)));
    const series = characters.map((c, i) => ({ values: STATS.map((stat, k) => (c.stats?.[stat] ?? 0) / most[k]), className: `series-${i + 1}` }));
    return h("section", { class: "card card-pad" },
        radar({ label: t("compare_radar"), axes: STATS.map((x) => t(`stat_${x}`)), series, top: 1, ring: 2 }),
        h("p", { class: "muted small center" }, t("compare_radar_note")),
        h("ul", { class: "legend" }, characters.map((c, i) => h("li", null, h("span", { class: `key series-${i + 1}`, "aria-hidden": "true" }), nameText(c.name), h("span", { class: "muted" }, ` ${serverLabel(c.server)} · ${decimal(c.power_score ?? 0, 0)}`)))));
}

// ---- the page ----

function drawChips() {
    fill(chips, chosen.map((c, i) => h("span", { class: "picked-one" },
        h("span", { class: `key series-${i + 1}`, "aria-hidden": "true" }), nameText(c.name), h("span", { class: "muted small" }, serverLabel(c.server), c.class ? ` · ${classLabel(c.class)}` : ""),
        h("button", { type: "button", class: "picked-off", "aria-label": t("compare_remove", { name: c.name }), onclick: () => takeOut(c) }, "×"))));
    picker.hidden = chosen.length >= COMPARE_MAX;
}

function takeOut(c) {
    choose(chosen.filter((x) => x !== c));
    field.focus(); // the button is gone
}

async function load() {
    const { signal } = controller;
    await loadServers();
    drawChips();
    if (chosen.length < 2) {
        fill(result, notice("info", t(chosen.length ? "compare_one_more" : "compare_hint")));
        markReady();
        return;
    }
    const params = Object.fromEntries(chosen.map((c, i) => [KEYS[i], `${c.server}:${c.name}`]));
    const { characters } = await getJson("/api/compare", params, { signal });
    if (!signal.aborted) {
        fill(result, h("p", { class: "muted small" }, t("compare_first")),
            h("div", { class: "compare-grid" }, h("div", { class: "card table-scroll" }, tableOf(characters)), radarOf(characters)));
        markReady();
    }
}

function showProblem(problem, again) {
    const text = problem.status === 404 ? t("compare_missing") : problemText(problem);
    fill(result, notice("error", text, h("button", { type: "button", class: "button", onclick: again }, t("retry"))));
    markReady();
}

function go() {
    stop();
    controller.abort();
    controller = new AbortController();
    basket.clear();
    chosen.slice().reverse().forEach((c) => basket.add(c));
    drawChips();
    stop = keepTrying(load, showProblem);
}

function choose(list) {
    chosen = list.slice(0, COMPARE_MAX);
    history.pushState(null, "", compareLink(chosen));
    go();
}

attachSearch(field, {
    onChoose(c) {
        if (!chosen.some((x) => x.server === c.server && x.name === c.name)) {
            choose([...chosen, { server: c.server, name: c.name, class: c.class }]);
        }
        field.focus();
    },
});
addEventListener("popstate", () => {
    chosen = readAddress();
    go();
});
if (chosen.length === 0) {
    chosen = basket.all();
    history.replaceState(null, "", compareLink(chosen));
}
fill(byId("app"), h("section", { class: "card card-pad picker-card" }, chips, picker), result);
go();
