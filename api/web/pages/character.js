// One character: score, ranks, stats, where the score comes from, and its past.

import { byId, fill, h, markReady } from "../common/dom.js";
import { bar, radar } from "../common/figures.js";
import { getJson } from "../common/http.js";
import { ago, decimal, number, signed, t, when } from "../common/i18n.js";
import { createTable } from "../common/table.js";
import { createActions } from "./actions.js";
import { createLookUp } from "./lookup.js";
import { STATS, changeMark, characterLink, classLabel, keepTrying, loadServers, notice, problemText, recent, serverLabel, tierBadge } from "./parts.js";
import { createHistory } from "./past.js";
import "./site.js";

const params = new URLSearchParams(location.search);
const who = { server: params.get("server") ?? "", name: params.get("name") ?? "" };

const app = byId("app");
const notices = h("div", { class: "trouble" });

// ---- the head ----

function stateChip(c) {
    const read = c.last_fetched_at ? t(`state_help_${c.state}`, { ago: ago(c.last_fetched_at) }) : t("never_fetched");
    return h("span", { class: "state", "data-state": c.state, title: c.last_fetched_at ? when(c.last_fetched_at) : null },
        h("b", null, t(`state_${c.state}`)), " ", read);
}

function drawHead(c) {
    const facts = [serverLabel(c.server), classLabel(c.class), t("level_short", { level: c.level }),
        c.item_level === null ? null : t("item_level", { level: number(c.item_level) }),
        c.legion === null ? null : t("legion", { legion: c.legion })];
    byId("heading").replaceChildren(h("bdi", { class: "name" }, c.name));
    byId("lede").replaceChildren(h("span", null, facts.filter(Boolean).join(" · ")), stateChip(c));
}

// ---- score and ranks ----

/** How far from the bottom of this tier to that of the next. */
function progressOf(c, cutoffs) {
    const floor = cutoffs.tiers.find((x) => x.tier === c.power_rank)?.min_score;
    const goal = c.next.score_needed;
    if (goal === null || floor === null || floor === undefined || goal <= floor) {
        return goal === null ? 1 : 0;
    }
    return Math.max(0, Math.min(1, (c.power_score - floor) / (goal - floor)));
}

function nextLines(c, cutoffs) {
    const { tier, score_needed: needed, rank, rank_score: rankScore } = c.next;
    const tierText = tier ? t("to_next_tier", { tier, points: number(Math.max(0, needed - c.power_score)) }) : t("top_tier");
    const rankText = rank ? t("to_next_rank", { rank: number(rank), points: number(rankScore - c.power_score) }) : t("first_place");
    return h("div", { class: "next" },
        h("div", { class: "next-line" }, h("span", null, tierText), tier ? tierBadge(tier, "tier-small") : null),
        bar({ value: progressOf(c, cutoffs), most: 1, className: "bar-progress" }),
        h("p", { class: "muted small" }, rankText));
}

function scoreCard(c, cutoffs) {
    const head = h("div", { class: "card-head" }, h("h2", null, t("power_score")));
    if (c.power_score === null) {
        const why = c.mode === "profile" ? "not_ranked_profile" : c.mode === "sheet" || c.stats_payload ? "not_ranked_soon" : "not_ranked_stats";
        return h("section", { class: "card card-pad score-card" }, head, h("p", { class: "score-big muted" }, t("not_ranked")), h("p", null, t(why)));
    }
    return h("section", { class: "card card-pad score-card" }, head,
        h("div", { class: "score-line" }, tierBadge(c.power_rank, "tier-big"),
            h("div", null, h("p", { class: "score-big" }, number(c.power_score)),
                h("p", { class: "muted small" }, t("versus_average", { difference: signed(c.power_score - 1000) })))),
        nextLines(c, cutoffs));
}

function rankTile(c, key) {
    const r = c.ranks[key];
    const label = key === "server" ? serverLabel(c.server) : key === "class" ? classLabel(c.class) : t("ranks_all");
    const run = c.rank_change?.run?.[key];
    const today = c.rank_change?.day?.[key];
    return h("div", { class: "rank-tile" },
        h("dt", null, label),
        h("dd", null, h("b", null, t("place", { rank: number(r.rank) })), h("span", { class: "muted small" }, ` ${t("of_total", { of: number(r.of) })}`)),
        h("dd", { class: "rank-top" }, t("top_percent", { percent: decimal(r.top_percent) })),
        h("dd", { class: "rank-changes small" },
            run === undefined ? "\u00a0" : [changeMark(run), " ", h("span", { class: "muted" }, t("since_run"))],
            today === undefined || today === null ? null : [h("br"), changeMark(today), " ", h("span", { class: "muted" }, t("since_day"))]));
}

function ranksCard(c) {
    const head = h("div", { class: "card-head" }, h("h2", null, t("ranks")));
    return h("section", { class: "card card-pad" }, head,
        c.ranks ? h("dl", { class: "rank-tiles" }, ["all", "server", "class"].map((key) => rankTile(c, key))) : h("p", { class: "muted" }, t("not_ranked")));
}

// ---- stats ----

function topOf(terms) {
    const most = Math.max(...terms.map((x) => x.ratio));
    return Math.min(4, Math.max(1.5, Math.ceil(most * 4) / 4));
}

const STAT_COLUMNS = [
    { key: "stat", label: t("stat"), head: true, cell: (x) => t(`stat_${x.stat}`) },
    { key: "value", label: t("value"), class: "num", cell: (x) => h("span", { class: "value-cell" }, h("b", null, number(x.value)), h("span", { class: "muted narrow-only" }, `/ ${number(x.average)}`)) },
    { key: "average", label: t("average"), class: "num wide-only", cell: (x) => number(x.average) },
    { key: "ratio", label: t("against_average"), class: "ratio-col", cell: (x) => h("span", { class: "ratio-cell" }, bar({ value: x.ratio, most: 2, mark: 1, className: x.ratio >= 1 ? "bar-over" : "bar-under" }), h("span", { class: x.ratio >= 1 ? "over" : "under" }, `${decimal(x.ratio * 100, 0)}%`)) },
    { key: "weight", label: t("weight"), class: "num wide-only", cell: (x) => `${decimal(x.weight * 100, 1)}%` },
    { key: "points", label: t("score"), class: "num", cell: (x) => h("b", null, h("span", { class: "wide-only" }, decimal(x.points, 1)), h("span", { class: "narrow-only narrow-plain" }, decimal(x.points, 0))) },
];

function explainTable(explanation) {
    const table = createTable({ caption: t("explain_heading"), columns: STAT_COLUMNS, className: "stats-table" });
    const order = (x) => STATS.indexOf(x.stat);
    table.setRows(explanation.terms.slice().sort((a, b) => order(a) - order(b)));
    table.element.append(h("tfoot", null, h("tr", null, h("th", { scope: "row" }, t("sum")), h("td", { class: "num" }), h("td", { class: "num wide-only" }), h("td"), h("td", { class: "num wide-only" }, "100%"), h("td", { class: "num" }, h("b", null, number(explanation.stats_score))))));
    return table.element;
}

function statsCards(explanation) {
    if (!explanation) {
        return null;
    }
    if (explanation.terms.length === 0) {
        return notice("warn", t("explain_fault", { fault: explanation.fault ?? "" }));
    }
    const ratios = STATS.map((stat) => explanation.terms.find((x) => x.stat === stat)?.ratio ?? 0);
    return h("div", { class: "stats-grid" },
        h("section", { class: "card card-pad" }, h("div", { class: "card-head" }, h("h2", null, t("stats_heading"))),
            radar({ label: t("radar_label"), axes: STATS.map((x) => t(`stat_${x}`)), series: [{ values: ratios, className: "series-1" }], top: topOf(explanation.terms) }),
            h("p", { class: "muted small center" }, t("radar_average"))),
        h("section", { class: "card card-pad" }, h("div", { class: "card-head" }, h("h2", null, t("explain_heading"))),
            h("p", { class: "muted small" }, t("explain_lede")),
            explanation.stats_newer ? notice("info", t("explain_newer", { score: number(explanation.stats_score) })) : null,
            explainTable(explanation)));
}

// ---- the page ----

const past = createHistory(who);
const actions = createActions((answer) => {
    who.server = answer.server; // the service may know the server by another name
    who.name = answer.name;
    history.replaceState(null, "", characterLink(who));
    return load();
});

function draw(c, cutoffs, explanation) {
    drawHead(c);
    recent.add({ server: c.server, name: c.name, class: c.class, level: c.level });
    actions.set(c);
    fill(notices, c.snapshot?.stale ? notice("warn", t("data_stale", { ago: ago(c.snapshot.generated_at) })) : null);
    fill(app, actions.element, notices,
        h("div", { class: "character-top" }, scoreCard(c, cutoffs), ranksCard(c)),
        statsCards(explanation),
        past.element,
        h("p", { class: "muted small data-times" }, [
            c.last_fetched_at ? t("fetched_at", { time: when(c.last_fetched_at) }) : null,
            c.last_scored_at ? t("scored_at", { time: when(c.last_scored_at) }) : null].filter(Boolean).join(" · ")));
    past.load();
    markReady();
}

// The equipment is read after the profile, by somebody else: looks for it a few times.
const SHEET_MS = [4000, 6000, 10000, 20000, 40000];
let sheetLooks = 0;

function awaitSheet(c) {
    const young = c.last_fetched_at && Date.now() - Date.parse(c.last_fetched_at) < 300000;
    if (c.mode === "profile" && young && sheetLooks < SHEET_MS.length) {
        setTimeout(() => load().catch(() => {}), SHEET_MS[sheetLooks++]); // a failure is told by the next look
    }
}

/** null where there is none (404) */
function orNone(promise) {
    return promise.catch((problem) => {
        if (problem.status === 404) {
            return null;
        }
        throw problem;
    });
}

async function load() {
    const [c] = await Promise.all([orNone(getJson("/api/character", who)), loadServers()]);
    if (!c) {
        drawUnknown(t("not_registered", { server: serverLabel(who.server), name: who.name }));
        return;
    }
    const [cutoffs, explanation] = await Promise.all([
        c.power_score === null ? null : getJson("/api/ranking/cutoffs", { server: c.server }),
        c.power_score === null ? null : orNone(getJson("/api/character/explain", who))]);
    draw(c, cutoffs, explanation);
    awaitSheet(c);
}

async function drawUnknown(text) {
    const servers = await loadServers();
    fill(app, text ? notice("info", text) : null, createLookUp(servers.servers, who));
    markReady();
}

function skeleton() {
    const bone = (className) => h("div", { class: `card ${className}`, "aria-hidden": "true" });
    fill(app, h("div", { class: "actions" }), h("div", { class: "character-top" }, bone("bone-score"), bone("bone-score")),
        h("div", { class: "stats-grid" }, bone("bone-stats"), bone("bone-stats")), bone("bone-history"));
}

function showProblem(problem, again) {
    if (!app.contains(notices)) {
        app.append(notices);
    }
    fill(notices, notice("error", problemText(problem), h("button", { type: "button", class: "button", onclick: again }, t("retry"))));
    markReady();
}

if (who.server && who.name) {
    skeleton();
    keepTrying(load, showProblem);
} else {
    keepTrying(() => drawUnknown(null), showProblem);
}
