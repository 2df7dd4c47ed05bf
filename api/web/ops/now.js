// What is on at the moment: the vital signs, alerts, running tasks.

import { h } from "../common/dom.js";
import { number, t } from "../common/i18n.js";
import { act, button, card, code, confirmed, since, seconds, until } from "./parts.js";

export const BATCH = "app.worker.calculate_power_and_rank_batch";
const unix = (text) => new Date(text).getTime() / 1000;

// ---- vital signs ----

function sign(label, value, kind, more) {
    return h("li", { class: "sign", "data-kind": kind },
        h("span", { class: "sign-label" }, label), h("strong", { class: "sign-value" }, value),
        h("span", { class: "sign-more" }, more));
}

function rankingSign(doc) {
    const ranking = doc.ranking;
    if (!ranking?.generated_at) {
        return sign(t("ranking_age"), doc.postgresql?.reachable ? t("no_ranking") : "–", "bad", doc.postgresql?.reachable ? "" : t("unreachable"));
    }
    const kind = ranking.stale ? "bad" : "good";
    const next = ranking.next_in_s > 0 ? [t("next_in"), " ", until(unix(doc.at) + ranking.next_in_s)] : t("overdue");
    return sign(t("ranking_age"), since(unix(ranking.generated_at)), kind,
        [t(ranking.stale ? "stale" : "fresh"), " · ", t("entries", { n: number(ranking.entries) }), " · ", next]);
}

function queueSign(doc) {
    const ready = (doc.queues ?? []).reduce((sum, q) => sum + (q.ready ?? 0), 0);
    const held = (doc.workers ?? []).reduce((sum, w) => sum + (w.held ?? 0), 0);
    return sign(t("waiting"), number(ready), "plain",
        t("waiting_more", { delayed: number(doc.delayed?.count ?? 0), held: number(held) }));
}

function workersSign(doc) {
    const alive = (doc.workers ?? []).filter((w) => w.alive);
    const beats = (doc.beats ?? []).filter((b) => b.alive).length;
    const children = alive.reduce((sum, w) => sum + (w.children ?? 0), 0);
    return sign(t("workers_alive"), alive.length ? number(alive.length) : t("none_alive"), alive.length && beats ? "good" : "bad",
        [t("children", { n: number(children) }), " · ", beats ? t("beats_alive", { n: beats }) : t("no_beat")]);
}

function deadSign(doc) {
    return sign(t("dead_letters"), number(doc.dead ?? 0), doc.dead ? "warn" : "good",
        t("in_quarantine", { n: number(doc.quarantine ?? 0) }));
}

function conservationSign(doc) {
    const sums = doc.conservation;
    if (!sums) {
        return sign(t("conservation"), "–", "plain", "");
    }
    const wrong = Object.entries(sums.differences).filter(([, n]) => n);
    return sign(t("conservation"), sums.ok ? "0" : wrong.map(([name, n]) => `${name} ${n}`).join(", ") || "≠", sums.ok ? "good" : "bad",
        t(sums.ok ? "balanced" : "unbalanced"));
}

const SOURCE_KINDS = { working: "good", unused: "plain", failing: "warn", resting: "bad" };

function sourceSign(doc) {
    const source = doc.source;
    if (!source) {
        return sign(t("source"), "–", "plain", "");
    }
    return sign(t("source"), t(`source_${source.state}`), SOURCE_KINDS[source.state] ?? "plain",
        t("source_asked", { n: number(source.asked) }));
}

function storesSign(doc) {
    const away = ["redis", "postgresql"].filter((name) => !doc[name]?.reachable);
    return sign(t("services"), t(away.length ? "unreachable" : "reachable"), away.length ? "bad" : "good",
        away.length ? away.join(", ") : "Redis, PostgreSQL");
}

export function signsCard() {
    const list = card({
        id: "signs", title: t("signs"), wide: true,
        draw: (doc) => h("ul", { class: "signs" }, rankingSign(doc), queueSign(doc), workersSign(doc), deadSign(doc),
            conservationSign(doc), sourceSign(doc), storesSign(doc)),
    });
    return list;
}

// ---- alerts ----

/** Nothing to see while nothing is wrong. */
export function alertsNotice() {
    const element = h("div", { class: "alerts", id: "alerts", hidden: true });
    let shown = "";
    return {
        element,
        show(alerts) {
            const text = JSON.stringify(alerts ?? {});
            if (text === shown) {
                return;
            }
            shown = text;
            const list = Object.entries(alerts ?? {});
            element.hidden = list.length === 0;
            element.replaceChildren(...list.map(([name, alert]) =>
                h("p", { class: "notice", "data-kind": "error" }, h("strong", null, name), " ", alert.text, " (", since(alert.since), ")")));
        },
    };
}

// ---- running tasks ----

function bar(progress) {
    const share = progress?.share ?? null;
    if (share === null) {
        return null;
    }
    return h("progress", { class: "progress", max: "1", value: String(share), "aria-label": t("phase", { name: progress.phase }) });
}

function progressText(progress) {
    if (!progress?.phase) {
        return "";
    }
    const part = progress.of ? ` ${number(progress.done)} / ${number(progress.of)}` : "";
    const left = progress.seconds_left !== null && progress.seconds_left !== undefined
        ? ` · ${t("left", { s: seconds(progress.seconds_left) })}` : "";
    return t("phase", { name: progress.phase }) + part + left;
}

async function endTask(task) {
    const batch = task.task === BATCH;
    const yes = await confirmed(t("end_task_q"), batch ? t("end_batch_text") : t("end_task_text", { task: task.task }), t("end_task"), true);
    if (!yes) {
        return;
    }
    if (batch) {
        await act(`/admin/batches/${encodeURIComponent(task.id)}/cancel`, undefined, t("task_ended"));
    } else {
        await act("/admin/tasks/revoke", { ids: [task.id], terminate: true }, t("task_ended"));
    }
}

function taskItem(task) {
    return h("li", { class: "task" },
        h("div", { class: "task-head" }, h("strong", { class: "task-name" }, task.task), h("span", { class: "muted small" }, task.worker),
            task.since ? since(task.since) : null,
            button({ key: `end-${task.id}`, label: t("end_task"), scope: "operate", danger: true, about: task.id, onclick: () => endTask(task) })),
        bar(task.progress), h("div", { class: "muted small" }, progressText(task.progress), " ", code(task.id)));
}

async function startBatch() {
    if (await confirmed(t("start_batch_q"), t("start_batch_text"), t("start_batch"))) {
        await act("/admin/batches", {}, t("batch_started"));
    }
}

export function runningCard() {
    return card({
        id: "running", title: t("running"),
        tools: button({ key: "start-batch", label: t("start_batch"), scope: "operate", main: true, onclick: startBatch }),
        draw: (tasks) => tasks.length
            ? h("ul", { class: "tasks" }, tasks.map(taskItem))
            : h("p", { class: "muted empty" }, t("nothing_runs")),
    });
}

/** Tasks of all workers; what a batch tells of its progress is asked for by the page. */
export function runningTasks(doc, progressOf) {
    return (doc.workers ?? []).flatMap((w) => (w.running ?? []).map((task) => ({
        id: task.id, task: task.task, since: task.since, worker: w.name, progress: progressOf[task.id] ?? null,
    })));
}


