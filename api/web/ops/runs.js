// The last batches: a bar each, a table, and one of them in full.

import { h, s } from "../common/dom.js";
import { number, t } from "../common/i18n.js";
import { badge, card, pairs, problemText, seconds, showDialog, since, table } from "./parts.js";
import { read } from "./session.js";

const KINDS = { success: "good", no_data: "plain", skipped: "plain", running: "busy", failed: "bad", cancelled: "warn", waiting: "plain" };
const WIDTH = 600;
const HEIGHT = 90;

const unix = (text) => new Date(text).getTime() / 1000;
const stateBadge = (run) => badge(KINDS[run.state] ?? "plain", t(`state_${run.state}`));

function median(list) {
    const order = list.slice().sort((a, b) => a - b);
    return order.length ? order[Math.floor(order.length / 2)] : 0;
}

/** Oldest at the left; the height is the time it took. The table below says the same in words. */
function chart(runs) {
    const bars = runs.filter((run) => run.took !== null).slice().reverse();
    const longest = Math.max(...bars.map((run) => run.took), 0.001);
    const step = WIDTH / Math.max(bars.length, 10);
    const label = t("runs_chart", { n: bars.length, median: seconds(median(bars.map((run) => run.took))) });
    return h("figure", { class: "runs-chart" },
        s("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": label },
            bars.map((run, i) => {
                const height = Math.max(3, (run.took / longest) * (HEIGHT - 4));
                return s("rect", { x: i * step + 1, y: HEIGHT - height, width: Math.max(step - 2, 1), height, rx: 2, class: `run-bar run-bar-${KINDS[run.state] ?? "plain"}` },
                    s("title", null, `${run.id}: ${seconds(run.took)}`));
            })),
        h("figcaption", { class: "muted small" }, label));
}

function failuresOf(run) {
    const groups = run.failures_by_reason?.groups ?? [];
    return table(t("failures"), [
        { label: t("reason"), cell: (g) => [g.stat, g.reason].filter(Boolean).join(": ") },
        { label: t("count"), class: "num", cell: (g) => number(g.count) },
    ], groups, t("no_failures"));
}

async function showRun(id) {
    try {
        const run = await read(`/admin/batches/${encodeURIComponent(id)}`);
        showDialog(t("run_title", { id: run.id ?? run.task_id }),
            pairs([[t("state"), stateBadge(run)], [t("took"), seconds(run.seconds)], [t("processed"), number(run.processed)],
                [t("failed_count"), number(run.failed)], [t("attempt"), number(run.attempt)], [t("worker"), run.worker ?? "–"],
                run.requested ? [t("requested_by"), [run.requested.by, run.requested.reason].filter(Boolean).join(": ")] : null,
                run.error ? [t("error"), run.error] : null]),
            h("h3", null, t("phases")),
            table(t("phases"), [
                { label: t("name"), cell: (p) => p.name }, { label: t("took"), class: "num", cell: (p) => seconds(p.seconds) },
            ], run.phases ?? [], "–"),
            h("h3", null, t("failures")), failuresOf(run));
    } catch (error) {
        showDialog(t("did_not_work"), h("p", null, problemText(error)));
    }
}

function draw(runs) {
    if (runs.length === 0) {
        return h("p", { class: "muted empty" }, t("no_runs"));
    }
    return [chart(runs), table(t("runs"), [
        { label: t("run"), cell: (r) => h("button", { type: "button", class: "link", "data-key": `run-${r.id}`, onclick: () => showRun(r.id) }, `${t("run_title", { id: r.id })}`) },
        { label: t("state"), cell: (r) => stateBadge(r) },
        { label: t("started"), cell: (r) => since(unix(r.started)) },
        { label: t("took"), class: "num", cell: (r) => (r.state === "running" ? "…" : seconds(r.took)) },
        { label: t("processed"), class: "num", cell: (r) => number(r.processed) },
        { label: t("failed_count"), class: "num", cell: (r) => number(r.failed) },
    ], runs.slice(0, 10), t("no_runs"))];
}

/** From a page of /admin/batches. */
export const runsOf = (doc) => doc.items.map((r) => ({
    id: r.id, state: r.state, started: r.started_at, took: r.state === "running" ? null : r.seconds, processed: r.processed, failed: r.failed,
}));

export const runsCard = () => card({ id: "runs", title: t("runs"), wide: true, draw });
