// The history of a character: a line over days, and the same as a table.

import { fill, h } from "../common/dom.js";
import { getJson } from "../common/http.js";
import { number, t } from "../common/i18n.js";
import { drawLine } from "../common/lines.js";
import { createTable } from "../common/table.js";

const METRICS = [
    { key: "power_score", text: "history_score" },
    { key: "rank", text: "history_rank", reversed: true },
    { key: "server_rank", text: "history_server_rank", reversed: true },
    { key: "power", text: "history_power" },
];
const PERIODS = [30, 90, 365];

function seconds(day) {
    const [y, m, d] = day.split("-").map(Number);
    return new Date(y, m - 1, d).getTime() / 1000;
}

function choice(label, options, now, onChange) {
    return h("label", { class: "choice" }, h("span", { class: "sr-only" }, label),
        h("select", { class: "field", onchange: (event) => onChange(event.target.value) },
            options.map(([value, text]) => h("option", { value, selected: String(value) === String(now) }, text))));
}

/** {element, load()} */
export function createHistory(who) {
    const host = h("div", { class: "line-host" });
    const tableHost = h("div", { class: "table-scroll" });
    let metric = METRICS[0];
    let days = PERIODS[0];
    let points = [];
    let undo = null;

    async function draw() {
        undo?.();
        undo = null;
        const shown = points.filter((p) => p[metric.key] !== null);
        if (shown.length < 2) { // no line between one point
            const only = shown[0]?.[metric.key];
            fill(host, h("p", { class: "muted line-none" }, t(shown.length ? "history_one" : "history_none", { value: number(only) })));
            return;
        }
        undo = await drawLine(host, { xs: shown.map((p) => seconds(p.day)), ys: shown.map((p) => p[metric.key]), label: t(metric.text), timeLabel: t("day"), reversed: metric.reversed });
    }

    function drawTable() {
        const table = createTable({
            caption: t("history_heading"),
            columns: [{ key: "day", label: t("day"), head: true, cell: (p) => p.day },
                ...METRICS.map((m) => ({ key: m.key, label: t(m.text), class: "num", cell: (p) => number(p[m.key]) }))],
        });
        table.setRows(points.slice().reverse());
        fill(tableHost, table.element);
    }

    async function load() {
        try {
            points = (await getJson("/api/character/history", { ...who, days })).days;
            drawTable();
            await draw();
        } catch (problem) {
            if (typeof problem.status !== "number") {
                throw problem;
            }
            fill(host, h("p", { class: "muted line-none" }, t(problem.status === 404 ? "history_none" : "history_gone")));
        }
    }

    document.addEventListener("themechange", draw);
    return {
        load,
        element: h("section", { class: "card card-pad history-card" },
            h("div", { class: "card-head" }, h("h2", null, t("history_heading")),
                h("div", { class: "choices" },
                    choice(t("history_metric"), METRICS.map((m) => [m.key, t(m.text)]), metric.key, (key) => {
                        metric = METRICS.find((m) => m.key === key);
                        draw();
                    }),
                    choice(t("history_days"), PERIODS.map((d) => [d, t("days", { days: d })]), days, (d) => {
                        days = d;
                        load();
                    }))),
            host,
            h("details", { class: "as-table" }, h("summary", null, t("table_view")), tableHost)),
    };
}
