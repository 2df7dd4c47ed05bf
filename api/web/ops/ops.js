// The operations page: asks the admin side every two seconds and shows what is there.

import { fill, h, markReady, toast } from "../common/dom.js";
import { Problem } from "../common/http.js";
import { lang, t } from "../common/i18n.js";
import { chooseLang, switchTheme } from "../common/prefs.js";
import "./texts.js";
import { changesCard } from "./changes.js";
import { deadCard, quarantineCard } from "./letters.js";
import { alertsNotice, BATCH, runningCard, runningTasks, signsCard } from "./now.js";
import { onChanged, problemText } from "./parts.js";
import { queuesCard } from "./queues.js";
import { runsCard, runsOf } from "./runs.js";
import { schedulesCard } from "./schedules.js";
import { hasToken, read, signIn, signOut } from "./session.js";
import { workersCard, workersOf } from "./workers.js";

const EVERY_MS = 2000; // the overview
const SLOW_EVERY = 3;  // lists: every third time, and after each change
const RUNS = 60;

const main = document.getElementById("main");
const live = document.getElementById("live");

function setLive(state, text) {
    live.dataset.state = state;
    document.getElementById("live-text").textContent = text;
}

// ---- asking ----

let cards = null;
let turns = 0;
let timer = 0;
let asking = false;

async function progressOf(doc) {
    const batches = (doc.workers ?? []).flatMap((w) => w.running ?? []).filter((task) => task.task === BATCH);
    const found = {};
    await Promise.all(batches.map(async (task) => {
        try {
            found[task.id] = (await read(`/admin/batches/${encodeURIComponent(task.id)}`)).progress ?? null;
        } catch (error) {
            if (!(error instanceof Problem) || error.status === 401) {
                throw error;
            } // it has no row yet, or has just ended
        }
    }));
    return found;
}

/** What cannot be asked now (its store is away) stays as it was. */
async function list(path, show) {
    try {
        show(await read(path));
    } catch (error) {
        if (!(error instanceof Problem) || error.status !== 503) {
            throw error;
        }
    }
}

async function lists() {
    await Promise.all([
        list(`/admin/batches?limit=${RUNS}`, (doc) => cards.runs.show(runsOf(doc))),
        list(cards.dead.address, cards.dead.show),
        list(cards.quarantine.address, cards.quarantine.show),
        list("/admin/audit?limit=20", (doc) => cards.changes.show(doc.items)),
    ]);
}

function showOverview(doc, progress) {
    cards.signs.show(doc);
    cards.alerts.show(doc.alerts);
    cards.running.show(runningTasks(doc, progress));
    cards.schedules.show(doc.timetable ?? []);
    cards.queues.show(doc.queues ?? []);
    cards.workers.show(workersOf(doc));
}

async function look() {
    const doc = await read("/admin/overview");
    showOverview(doc, await progressOf(doc));
    if (turns++ % SLOW_EVERY === 0) {
        await lists();
    }
}

async function turn() {
    clearTimeout(timer);
    if (asking || !cards) {
        return;
    }
    asking = true;
    const mine = cards; // of whoever is signed in now
    try {
        await look();
        setLive("on", t("live"));
    } catch (error) {
        if (cards !== mine) {
            setLive("wait", "…"); // signed out meanwhile
        } else if (error instanceof Problem && error.status === 401) {
            leave();
        } else {
            setLive("off", t("live_lost"));
        }
    } finally {
        asking = false;
    }
    if (cards) {
        markReady();
        if (document.hidden) {
            setLive("wait", t("live_paused"));
        } else {
            timer = setTimeout(turn, EVERY_MS);
        }
    }
}

document.addEventListener("visibilitychange", () => {
    if (!document.hidden) {
        turn();
    }
});
onChanged(() => {
    turns = 0;
    turn();
});

// ---- the page ----

function drawTools(who) {
    const other = lang === "ko" ? "en" : "ko";
    fill(document.getElementById("tools"),
        who ? h("span", { class: "who" }, `${who.principal} · ${who.scope}`) : null,
        h("button", { type: "button", class: "tool", id: "switch-theme", onclick: switchTheme }, t("theme")),
        h("a", { class: "tool", id: "switch-lang", href: `?lang=${other}`, lang: other, onclick: () => chooseLang(other) }, t("other_lang")),
        who && who.principal.startsWith("uid:") === false
            ? h("button", { type: "button", class: "tool", id: "sign-out", onclick: () => { signOut(); leave(); } }, t("sign_out")) : null);
}

function enter(who) {
    cards = {
        signs: signsCard(), alerts: alertsNotice(), running: runningCard(), runs: runsCard(), schedules: schedulesCard(),
        queues: queuesCard(), workers: workersCard(), dead: deadCard(), quarantine: quarantineCard(), changes: changesCard(),
    };
    drawTools(who);
    fill(main, cards.alerts.element, cards.signs.element, h("div", { class: "columns" },
        cards.running.element, cards.queues.element, cards.runs.element, cards.schedules.element, cards.workers.element,
        cards.dead.element, cards.quarantine.element, cards.changes.element));
    scrollTo(0, 0);
    turns = 0;
    turn();
}

function leave() {
    cards = null;
    document.querySelectorAll("dialog").forEach((dialog) => dialog.close());
    clearTimeout(timer);
    setLive("wait", "…");
    drawTools(null);
    const field = h("input", { class: "field", id: "token", type: "password", autocomplete: "off", required: true });
    const fault = h("p", { class: "fault", role: "alert" });
    fill(main, h("form", {
        class: "card card-pad enter",
        onsubmit: async (event) => {
            event.preventDefault();
            try {
                enter(await signIn(field.value));
            } catch (error) {
                fault.textContent = error instanceof Problem && error.status === 401 ? t("bad_token") : problemText(error);
            }
        },
    }, h("h2", null, t("enter_title")), h("p", { class: "muted" }, t("enter_text")),
    h("label", { for: "token" }, t("token")), field, fault, h("button", { class: "button button-main" }, t("enter"))));
    markReady();
    field.focus();
}

document.title = `aion2rank · ${t("title")}`;
document.getElementById("ops-title").textContent = t("title");
// On the socket, which only the operator's account can open, no token is needed.
if (hasToken() || document.body.dataset.door === "unix") {
    try {
        enter(await signIn());
    } catch (error) {
        leave();
        if (!(error instanceof Problem) || error.status !== 401) {
            toast(problemText(error));
        }
    }
} else {
    leave();
}
