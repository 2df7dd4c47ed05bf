// How old the data are and when the next come: a countdown, and a look when it is over.

import { announce, h } from "../common/dom.js";
import { ago, clockTime, minutes, t, when } from "../common/i18n.js";

const LATE_MS = 1500; // a batch takes a moment after its time
const AGAIN_MS = [3000, 3000, 5000, 5000, 10000, 15000, 30000];

/**
 * reload() is called when a new ranking may be there; setSnapshot(snapshot) after every load, with
 * null where there is none yet.
 * {element, setSnapshot}
 */
export function createFreshness(reload) {
    const time = h("time");
    const next = h("span", { class: "fresh-next" });
    const late = h("span", { class: "fresh-late" });
    const element = h("p", { class: "fresh" }, h("span", { class: "fresh-dot", "aria-hidden": "true" }), time, next, late);
    let snapshot = null;
    let looks = 0;
    let lookAt = 0;

    function draw() {
        const left = snapshot ? Date.parse(snapshot.next_expected_at) - Date.now() : 0;
        element.dataset.state = !snapshot || snapshot.stale ? "stale" : left > 0 ? "live" : "due";
        next.textContent = left > 0 ? t("next_in", { time: minutes(left / 1000) }) : t("next_now");
    }

    function tick() {
        if (!snapshot || document.hidden) {
            return;
        }
        draw();
        if (Date.now() >= lookAt) {
            lookAt = Date.now() + AGAIN_MS[Math.min(looks++, AGAIN_MS.length - 1)];
            reload();
        }
    }

    element.hidden = true; // keeps its place
    setInterval(tick, 1000);
    document.addEventListener("visibilitychange", tick);
    return {
        element,
        setSnapshot(now) {
            const isNew = snapshot && now && now.id !== snapshot.id;
            snapshot = now;
            element.hidden = false;
            if (!now) {
                element.dataset.state = "due";
                late.textContent = t("not_yet");
                return;
            }
            late.textContent = now.stale ? t("data_stale", { ago: ago(now.generated_at) }) : "";
            const left = Date.parse(now.next_expected_at) - Date.now();
            if (left > 0) {
                looks = 0;
                lookAt = Date.now() + left + LATE_MS + Math.random() * 2000; // not all readers at once
            }
            time.dateTime = now.generated_at;
            time.title = when(now.generated_at);
            time.textContent = t("data_of", { time: clockTime(now.generated_at) });
            draw();
            if (isNew) {
                announce(t("updated_now"));
            }
        },
    };
}
