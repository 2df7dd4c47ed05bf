// What several pages show in the same way: tiers, rank changes, links to characters, notices.

import { h } from "../common/dom.js";
import { address, getJson } from "../common/http.js";
import { addTexts, lang, number, t } from "../common/i18n.js";
import { storedList } from "../common/prefs.js";
import { classIn, serverIn, serverKey } from "./names.js";
import { TEXTS } from "./texts.js";

addTexts(TEXTS);

export const TIERS = ["S", "A", "B", "C", "D"].flatMap((letter) => [5, 4, 3, 2, 1].map((n) => `${letter}${n}`));
export const STATS = ["attack", "damage_amp", "crit_rate", "crit_damage", "attack_speed", "defense", "damage_reduction", "hp"];

export const favourites = storedList("aion2rank.favourites", 50);
export const recent = storedList("aion2rank.recent", 12);

// ---- addresses ----

const keptLang = new URLSearchParams(location.search).get("lang");

/** An address of ours; a language that is in this page's address stays in it. */
export function link(path, params = {}) {
    return address(path, keptLang ? { ...params, lang: keptLang } : params);
}

export function characterLink(c) {
    return link("/character", { server: c.server, name: c.name });
}

// ---- servers ----

let known = new Set();
let servers = null;

/**
 * The first five are always in the api's list. Where one of them has nobody on the board but the same
 * server has under another of its names, that one stands in its place.
 */
function withoutDoubles(data) {
    const peopled = new Map(data.details.map((d) => [serverKey(d.server), d.server]));
    const names = data.details.map((d) => d.server);
    const stand = (name) => (names.includes(name) ? name : peopled.get(serverKey(name)) ?? name);
    return { ...data, servers: [...new Set(data.servers.map(stand))] };
}

/** The name by which the list has a server that an address names in any way; else the name itself. */
export function listedServer(name) {
    return known.has(name) ? name : [...known].find((s) => serverKey(s) === serverKey(name)) ?? name;
}

/** /api/servers, asked once a page; a failure is not kept. */
export function loadServers() {
    servers ??= getJson("/api/servers", {}).then(
        (answer) => {
            const data = withoutDoubles(answer);
            known = new Set(data.servers);
            return data;
        },
        (error) => {
            servers = null;
            throw error;
        },
    );
    return servers;
}

export function forgetServers() {
    servers = null;
}

export function serverLabel(name) {
    return serverIn(lang, name, known);
}

export function classLabel(name) {
    return name ? classIn(lang, name) : "–";
}

// ---- pieces ----

/** The tier as a badge: letter and number as text, five steps beneath. */
export function tierBadge(tier, size = "") {
    if (!tier) {
        return h("span", { class: `tier tier-none ${size}` }, "–");
    }
    return h("span", { class: `tier tier-${tier[0].toLowerCase()} ${size}`, "data-step": tier[1] }, tier);
}

/** ▲3, ▼2, or what there is to say; `known` false: nothing is. */
export function changeMark(change, shown = true) {
    if (!shown) {
        return h("span", { class: "change" });
    }
    if (change === null || change === undefined) {
        return h("span", { class: "change change-new" }, h("span", { "aria-hidden": "true" }, "NEW"), h("span", { class: "sr-only" }, t("new_entry")));
    }
    if (change === 0) {
        return h("span", { class: "change change-none" }, h("span", { "aria-hidden": "true" }, "–"), h("span", { class: "sr-only" }, t("unchanged")));
    }
    const count = number(Math.abs(change));
    return h("span", { class: change > 0 ? "change change-up" : "change change-down" },
        h("span", { "aria-hidden": "true" }, `${change > 0 ? "▲" : "▼"}${count}`),
        h("span", { class: "sr-only" }, t(change > 0 ? "up_by" : "down_by", { count })));
}

/** A player's name: text, whatever is in it, and its direction of writing stays inside. */
export function nameText(name) {
    return h("bdi", { class: "name" }, name);
}

export function characterAnchor(c, className = "") {
    return h("a", { class: `character-link ${className}`, href: characterLink(c) }, nameText(c.name));
}

/** Server, class and level; where everybody is of one server, without it. */
export function aboutLine(c, withServer = true) {
    const server = withServer ? [serverLabel(c.server)] : [];
    return [...server, classLabel(c.class), t("level_short", { level: c.level })].join(" · ");
}

export function notice(kind, text, ...more) {
    return h("div", { class: "notice", "data-kind": kind, role: kind === "error" ? "alert" : "status" }, h("span", null, text), more);
}

/** The sentence for a Problem. */
export function problemText(problem) {
    if (problem.status === 0) {
        return t("error_away");
    }
    return problem.status === 503 || problem.status === 429 ? t("error_busy") : t("error_other", { detail: problem.message });
}

/** Whether asking again may help. */
export function isPassing(problem) {
    return problem.status === 0 || problem.status === 429 || problem.status >= 500;
}

/**
 * Runs load() until it succeeds: after a passing failure again in 2, 4, 8 ... 30 s, or when
 * the browser is online again. show(problem) tells of it. Returns a function that stops.
 */
export function keepTrying(load, show) {
    let timer = 0;
    let pause = 2000;
    let stopped = false;

    async function run() {
        clearTimeout(timer);
        try {
            await load();
            pause = 2000;
        } catch (problem) {
            if (stopped || problem.name === "AbortError") {
                return;
            }
            if (typeof problem.status !== "number") {
                throw problem; // a bug of ours: to be seen in the console
            }
            show(problem, run);
            if (isPassing(problem)) {
                timer = setTimeout(run, Math.max(pause, (problem.retryAfterS ?? 0) * 1000));
                pause = Math.min(pause * 2, 30000);
            }
        }
    }

    addEventListener("online", run);
    run();
    return () => {
        stopped = true;
        clearTimeout(timer);
        removeEventListener("online", run);
    };
}
