// What one can do with a character: refresh, share, compare, keep.

import { fill, h, s, toast } from "../common/dom.js";
import { Problem } from "../common/http.js";
import { t } from "../common/i18n.js";
import { COMPARE_MAX, basket, compareLink } from "./basket.js";
import { search, searchProblemText } from "./lookup.js";
import { characterLink, favourites } from "./parts.js";

const COOLDOWN_MS = 60000; // the service's default; it tells when it wants more
const SAID = { success: "refreshed", cached: "refreshed_already", failed: "refresh_failed" };
const STAR = "M10 1.8l2.5 5.2 5.7.8-4.1 4 1 5.7L10 14.8l-5.1 2.7 1-5.7-4.1-4 5.7-.8z";

/** reload(answer): reads the character again, after a search that answered so. {element, set(character)} */
export function createActions(reload) {
    const refresh = h("button", { type: "button", class: "button button-main", onclick: onRefresh });
    const share = h("button", { type: "button", class: "button", onclick: onShare }, t("share"));
    const compare = h("span", { class: "compare-slot" });
    const star = h("button", { type: "button", class: "button star", onclick: onStar },
        s("svg", { viewBox: "0 0 20 20", "aria-hidden": "true" }, s("path", { d: STAR })));
    const element = h("div", { class: "actions" }, refresh, share, compare, star);
    let c = null;
    let notBefore = 0;
    let asking = false;

    function drawRefresh() {
        const left = Math.ceil((notBefore - Date.now()) / 1000);
        const text = asking ? t("refreshing") : left > 0 ? t("refresh_in", { seconds: left }) : t("refresh");
        if (refresh.textContent !== text) {
            refresh.textContent = text;
        }
        refresh.setAttribute("aria-disabled", String(asking || left > 0));
    }

    async function onRefresh() {
        if (asking || Date.now() < notBefore) {
            return;
        }
        asking = true;
        drawRefresh();
        try {
            const { character, waitS } = await search(c);
            notBefore = Date.now() + Math.max(COOLDOWN_MS, waitS * 1000);
            toast(t(SAID[character.fetch_status] ?? "refreshed"));
            await reload(character);
        } catch (problem) {
            if (!(problem instanceof Problem)) {
                throw problem;
            }
            notBefore = Date.now() + (problem.retryAfterS ?? 5) * 1000;
            toast(searchProblemText(problem));
        } finally {
            asking = false;
            drawRefresh();
        }
    }

    async function onShare() {
        const url = new URL(characterLink(c), location.origin).href;
        try {
            await navigator.clipboard.writeText(url);
            toast(t("shared"));
        } catch {
            toast(t("share_failed"));
        }
    }

    function drawCompare() {
        const list = basket.all();
        fill(compare, basket.has(c)
            ? h("a", { class: "button", href: compareLink(list) }, t("see_compare", { count: list.length }))
            : h("button", { type: "button", class: "button", onclick: onCompare }, t("add_compare")));
    }

    function onCompare() {
        if (basket.all().length >= COMPARE_MAX) {
            toast(t("compare_full"));
            return;
        }
        basket.add({ server: c.server, name: c.name, class: c.class });
        toast(t("compare_added", { count: basket.all().length }));
        drawCompare();
        compare.firstChild.focus();
    }

    function drawStar() {
        const kept = favourites.has(c);
        const text = t(kept ? "favourite_remove" : "favourite_add");
        star.setAttribute("aria-pressed", String(kept));
        star.setAttribute("aria-label", text);
        star.title = text;
    }

    function onStar() {
        if (favourites.has(c)) {
            favourites.remove(c);
        } else {
            favourites.add({ server: c.server, name: c.name, class: c.class, level: c.level });
        }
        drawStar();
    }

    setInterval(() => c && drawRefresh(), 1000);
    return {
        element,
        set(character) {
            c = character;
            if (c.last_fetched_at) {
                notBefore = Math.max(notBefore, Math.min(Date.now(), Date.parse(c.last_fetched_at)) + COOLDOWN_MS);
            }
            drawRefresh();
            drawCompare();
            drawStar();
        },
    };
}
