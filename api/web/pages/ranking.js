// The ranking: a board by server, class and page.

import { byId, fill, h, markReady } from "../common/dom.js";
import { getJson } from "../common/http.js";
import { number, t } from "../common/i18n.js";
import { createTable } from "../common/table.js";
import { createFreshness } from "./fresh.js";
import { byClass } from "./names.js";
import { createPager } from "./pager.js";
import { aboutLine, changeMark, characterAnchor, classLabel, keepTrying, link, listedServer, loadServers, notice, problemText, serverLabel, tierBadge } from "./parts.js";
import { createSide } from "./side.js";
import { createTabs } from "./tabs.js";
import "./site.js";

const PAGE_SIZE = 50;

function readAddress() {
    const params = new URLSearchParams(location.search);
    const page = Number.parseInt(params.get("page"), 10);
    const server = params.get("server") ?? "";
    return { server: server === "all" ? "" : server, cls: params.get("class") ?? "", page: page > 0 ? page : 1 };
}

function boardLink(board) {
    return link("/", { server: board.server, class: board.cls, page: board.page > 1 ? board.page : "" });
}

let board = readAddress();
let stop = () => {};
let controller = new AbortController();

// ---- the table ----

let changesKnown = false;

const COLUMNS = [
    { key: "rank", label: t("rank"), class: "col-rank", cell: (c) => h("span", { class: "rank-cell" }, h("span", { class: `rank rank-${c.rank}` }, number(c.rank)), changeMark(c.rank_change, changesKnown)) },
    { key: "name", label: t("character"), class: "col-name", head: true, cell: (c) => h("span", { class: "name-cell" }, characterAnchor(c), h("span", { class: "about" }, aboutLine(c, !board.server))) },
    { key: "server", label: t("server"), class: "col-server", cell: (c) => serverLabel(c.server) },
    { key: "class", label: t("class"), class: "col-class", cell: (c) => classLabel(c.class) },
    { key: "level", label: t("level"), class: "col-level num", cell: (c) => number(c.level) },
    { key: "power", label: t("power"), class: "col-power num", cell: (c) => number(c.power) },
    { key: "score", label: t("score"), class: "col-score num", cell: scoreCell },
    { key: "tier", label: t("tier"), class: "col-tier", cell: (c) => tierBadge(c.power_rank) },
];

function scoreCell(c) {
    const mark = c.stale ? h("span", { class: "stale-mark", title: t("score_stale_help") }, t("score_stale")) : null;
    return h("span", { class: "score-cell" }, h("b", null, number(c.power_score)), mark);
}

const table = createTable({ caption: t("loading"), columns: COLUMNS, className: "board" });
const instead = h("div", { class: "board-instead", hidden: true }); // of rows
const panel = h("div", { class: "card board-card", role: "tabpanel", id: "board", tabindex: "-1" }, table.element, instead);
const trouble = h("div", { class: "trouble" });
const summary = h("p", { class: "board-total muted small" });
const classes = h("nav", { class: "chips", "aria-label": t("class") });
const fresh = createFreshness(() => go(board, { quiet: true }));
const pager = createPager((page) => boardLink({ ...board, page }), (page) => choose({ ...board, page }));
const tabs = createTabs({ panel, hrefOf: (server) => boardLink({ server, cls: "", page: 1 }), onChoose: (server) => choose({ server, cls: "", page: 1 }) });
const side = createSide();

// ---- drawing ----

function boardName() {
    const server = board.server ? serverLabel(board.server) : t("all_servers");
    return board.cls ? `${server} · ${classLabel(board.cls)}` : server;
}

function drawItems(data) {
    changesKnown = data.items.some((c) => c.rank_change !== null);
    table.setCaption(t("board_caption", { board: boardName(), page: number(data.page) }));
    table.setRows(data.items);
    summary.textContent = t("board_total", { count: number(data.total) });
    pager.set(data.page, data.total_pages);
}

function drawInstead(...content) {
    instead.hidden = content.length === 0;
    table.element.hidden = content.length > 0;
    fill(instead, content);
}

function drawNotices(data) {
    fill(trouble);
    if (data.items.length > 0) {
        drawInstead();
    } else if (data.total === 0) {
        drawInstead(h("p", { role: "status" }, t("board_empty")));
    } else {
        drawInstead(h("p", { role: "status" }, t("board_past")), h("a", { class: "button", href: boardLink({ ...board, page: 1 }) }, t("board_first")));
    }
}

function drawClasses(distribution) {
    const chip = (cls, label) =>
        h("a", {
            class: "chip", href: boardLink({ server: board.server, cls, page: 1 }), "aria-current": board.cls === cls ? "true" : null,
            onclick: (event) => follow(event, { server: board.server, cls, page: 1 }),
        }, label);
    const names = (distribution?.classes ?? []).map((c) => c.class).filter(Boolean).sort(byClass);
    fill(classes, chip("", t("all_classes")), names.map((name) => chip(name, classLabel(name))));
}

function drawProblem(problem, again) {
    markReady();
    if (problem.status === 404) {
        const text = problem.param === "server" ? t("no_server", { server: board.server }) : t("no_class", { class: board.cls });
        pager.set(1, 0);
        summary.textContent = "";
        drawInstead(h("p", { role: "alert" }, text), h("a", { class: "button", href: link("/") }, t("to_all")));
        return;
    }
    fill(trouble, notice("error", problemText(problem), h("button", { type: "button", class: "button", onclick: again }, t("retry"))));
}

// ---- loading ----

async function load(quiet) {
    const { signal } = controller;
    if (!quiet) {
        drawInstead();
        table.setSkeleton(PAGE_SIZE);
    }
    const [servers, data] = await Promise.all([
        loadServers(),
        getJson("/api/ranking", { server: board.server, class: board.cls, page: board.page, page_size: PAGE_SIZE }, { signal, cache: quiet ? "no-cache" : "default" }),
    ]);
    if (signal.aborted) {
        return;
    }
    board.server = listedServer(board.server);
    tabs.set(servers.servers, board.server);
    fresh.setSnapshot(data.snapshot);
    drawItems(data);
    drawNotices(data);
    markReady();
    if (data.is_snapshot) {
        const distribution = await getJson("/api/ranking/distribution", { server: board.server }, { signal, cache: quiet ? "no-cache" : "default" });
        drawClasses(distribution);
        side.setTiers(distribution.tiers, board.server);
    }
}

/** Shows a board; quiet: the one that is shown, read again. */
function go(next, { quiet = false } = {}) {
    const sameServer = next.server === board.server;
    stop();
    controller.abort();
    controller = new AbortController();
    board = next;
    if (!quiet) {
        tabs.select(board.server);
        if (!sameServer) {
            drawClasses(null);
        }
    }
    stop = keepTrying(() => load(quiet), drawProblem);
}

function choose(next) {
    history.pushState(null, "", boardLink(next));
    go(next);
    byId("heading").textContent = document.title = boardName();
    scrollTo({ top: 0 });
}

function follow(event, next) {
    if (!(event.metaKey || event.ctrlKey || event.shiftKey || event.button)) {
        event.preventDefault();
        choose(next);
    }
}

addEventListener("popstate", () => go(readAddress()));

byId("lede").replaceWith(fresh.element);
fill(byId("app"),
    h("div", { class: "board-layout" },
        h("section", { class: "board-main", "aria-labelledby": "heading" },
            tabs.element, classes, panel, h("div", { class: "board-foot" }, summary, pager.element),
            h("p", { class: "honest small muted" }, t("who_is_here"), " ", h("a", { href: link("/score") }, t("how_scored")))),
        side.element), trouble);
drawClasses(null);
go(board);
