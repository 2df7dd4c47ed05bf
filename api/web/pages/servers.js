// Servers: how many, how strong, how the scores are spread, what each tier takes.

import { byId, fill, h, markReady } from "../common/dom.js";
import { bar, columns } from "../common/figures.js";
import { getJson } from "../common/http.js";
import { decimal, number, t } from "../common/i18n.js";
import { createTable } from "../common/table.js";
import { createFreshness } from "./fresh.js";
import { byClass } from "./names.js";
import { STATS, classLabel, keepTrying, link, listedServer, loadServers, forgetServers, notice, problemText, serverLabel, tierBadge } from "./parts.js";
import { createTabs } from "./tabs.js";
import "./site.js";

const readServer = () => new URLSearchParams(location.search).get("server") ?? "";
const hrefOf = (server) => link("/servers", { server });

let server = readServer();
let stop = () => {};
let controller = new AbortController();

const detail = h("div", { class: "server-detail", role: "tabpanel", id: "server-detail" });
const notices = h("div", { class: "trouble" });
const all = h("div", { class: "card table-scroll server-table" });
const tabs = createTabs({ panel: detail, hrefOf, onChoose: choose });
const fresh = createFreshness(() => go({ quiet: true }));

// ---- all of them ----

const COLUMNS = [
    { key: "server", label: t("server"), head: true, sort: (d) => serverLabel(d.server), cell: (d) => h("a", { class: "character-link", href: hrefOf(d.server), onclick: (event) => follow(event, d.server) }, serverLabel(d.server)) },
    { key: "population", label: t("population"), class: "num", sort: (d) => d.population, cell: (d) => number(d.population) },
    { key: "top", label: t("top_score"), class: "num", sort: (d) => d.top_score, cell: (d) => number(d.top_score) },
    ...["attack", "crit_rate", "attack_speed", "defense", "hp"].map((stat) => ({
        key: stat, label: t("average_short", { stat: t(`stat_${stat}`) }), class: "num wide-only",
        sort: (d) => d.averages?.[stat], cell: (d) => number(d.averages?.[stat]),
    })),
];
const table = createTable({ caption: t("servers_caption"), columns: COLUMNS });
table.setSort("population", true);
fill(all, table.element);

// ---- one of them ----

function card(title, ...content) {
    return h("section", { class: "card card-pad" }, h("div", { class: "card-head" }, h("h2", null, title)), content);
}

function tiles(d, details) {
    const one = details.find((x) => x.server === server);
    const quantile = (percent) => d.quantiles.find((q) => q.top_percent === percent)?.min_score ?? null;
    const facts = [[t("population"), number(d.total)], [t("top_score"), number(server ? one?.top_score : Math.max(...details.map((x) => x.top_score)))],
        [t("median"), number(quantile(50))], [t("top_ten"), number(quantile(10))]];
    return h("dl", { class: "tiles" }, facts.map(([name, value]) => h("div", { class: "card tile" }, h("dt", null, name), h("dd", null, value))));
}

function histogram(d) {
    const list = d.histogram;
    const most = list.reduce((a, b) => (b.count > a.count ? b : a), list[0]);
    const step = Math.max(1, Math.ceil(list.length / 8));
    const label = t("distribution_label", { from: number(list[0].from), to: number(list.at(-1).to), most: `${number(most.from)}–${number(most.to)}` });
    const buckets = createTable({
        caption: t("distribution"),
        columns: [{ key: "from", label: t("bucket_from"), head: true, cell: (b) => `${number(b.from)}–${number(b.to)}` },
            { key: "count", label: t("count"), class: "num", cell: (b) => number(b.count) }],
    });
    buckets.setRows(list);
    return card(t("distribution"),
        columns({
            label,
            bars: list.map((b) => ({ value: b.count, title: t("bucket", { from: number(b.from), to: number(b.to), count: number(b.count) }), className: b.from <= 1000 && b.to >= 1000 ? "column-mark" : "" })),
            ticks: list.map((b, index) => ({ index, text: number(b.from) })).filter((x) => x.index % step === 0),
        }),
        h("details", { class: "as-table" }, h("summary", null, t("table_view")), h("div", { class: "table-scroll" }, buckets.element)));
}

// What a tier takes differs from server to server: over all of them only how many have it says something.
function tierCard(d) {
    const people = (x) => t("people", { count: number(x.count) });
    const least = (x) => (x.min_score === null ? "–" : t("points", { score: number(x.min_score) }));
    return card(t(server ? "tier_cutoffs" : "tier_counts"), h("ul", { class: "tier-grid" }, d.tiers.map((x) =>
        h("li", null, tierBadge(x.tier), h("b", null, server ? least(x) : people(x)), server ? h("span", { class: "muted small" }, people(x)) : null))));
}

function classCard(d) {
    const most = Math.max(...d.classes.map((x) => x.share), 1);
    const list = d.classes.filter((x) => x.class).sort((a, b) => byClass(a.class, b.class));
    return card(t("class_shares"), h("ul", { class: "share-list" }, list.map((x) =>
        h("li", null, h("a", { class: "character-link", href: link("/", { server, class: x.class }) }, classLabel(x.class)), bar({ value: x.share, most, className: "bar-over" }),
            h("span", { class: "share-text" }, `${decimal(x.share, 1)}%`, h("span", { class: "muted small" }, ` ${number(x.count)}`))))));
}

function averageCard(details) {
    const averages = details.find((x) => x.server === server)?.averages;
    return card(t("averages"), averages
        ? h("dl", { class: "average-list" }, STATS.map((stat) => h("div", null, h("dt", null, t(`stat_${stat}`)), h("dd", null, number(averages[stat])))))
        : h("p", { class: "muted" }, t("no_averages")));
}

function draw(d, details) {
    const name = server ? serverLabel(server) : t("all_servers");
    if (d.total === 0) {
        fill(detail, notice("info", t("board_empty")));
        return;
    }
    fill(detail, tiles(d, details), h("div", { class: "server-grid" },
        h("div", { class: "stack" }, histogram(d), classCard(d)),
        h("div", { class: "stack" }, tierCard(d), averageCard(details))),
    h("p", { class: "board-link" }, h("a", { class: "button", href: link("/", { server }) }, t("board_of", { server: name }))));
}

// ---- loading ----

async function load(quiet) {
    const { signal } = controller;
    forgetServers();
    const servers = await loadServers();
    server = listedServer(server);
    tabs.set(servers.servers, server);
    table.setRows(servers.details);
    fresh.setSnapshot(servers.snapshot);
    if (!servers.snapshot) {
        fill(notices);
        fill(detail, notice("info", t("no_ranking")));
    } else {
        const d = await getJson("/api/ranking/distribution", { server }, { signal, cache: quiet ? "no-cache" : "default" });
        fill(notices);
        draw(d, servers.details);
    }
    markReady();
}

function showProblem(problem, again) {
    const missing = problem.status === 404;
    if (missing) {
        fill(detail, notice("error", t("no_server", { server }), h("a", { href: link("/servers") }, t("all_servers"))));
    } else {
        fill(notices, notice("error", problemText(problem), h("button", { type: "button", class: "button", onclick: again }, t("retry"))));
    }
    markReady();
}

function go({ quiet = false } = {}) {
    stop();
    controller.abort();
    controller = new AbortController();
    if (!quiet) {
        tabs.select(server);
    }
    stop = keepTrying(() => load(quiet), showProblem);
}

function choose(next) {
    server = next;
    history.pushState(null, "", hrefOf(server));
    go();
    scrollTo({ top: 0 });
}

function follow(event, next) {
    if (!(event.metaKey || event.ctrlKey || event.shiftKey || event.button)) {
        event.preventDefault();
        choose(next);
    }
}

addEventListener("popstate", () => {
    server = readServer();
    go();
});

byId("lede").replaceWith(fresh.element);
fill(byId("app"), tabs.element, notices, detail, h("h2", { class: "section-title" }, t("servers_table")), all);
table.setSkeleton(8);
go();
