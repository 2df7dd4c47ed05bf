// How old the data are and when the next come: a countdown, and a look when it is over.

import { announce, h } from "../common/dom.js";
import { ago, clockTime, minutes, t, when } from "../common/i18n.js";

const LATE_MS = 1500; // a batch takes a moment after its time
const AGAIN_MS = [3000, 3000, 5000, 5000, 10000, 15000, 30000];

/**
 * reload() is called when a new ranking may be there; setSnapshot(snapshot) after every load.
 * {element, setSnapshot}
 */
export function createFreshness(reload) {
    const time = h("time");
    const next = h("span", { class: "fresh-next" });
    const element = h("p", { class: "fresh" }, h("span", { class: "fresh-dot", "aria-hidden": "true" }), time, next);
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

    setInterval(tick, 1000);
    document.addEventListener("visibilitychange", tick);
    return {
        element,
        setSnapshot(now) {
            const isNew = snapshot && now && now.id !== snapshot.id;
            snapshot = now;
            element.hidden = !now;
            if (!now) {
                return;
            }
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
        staleText: () => (snapshot?.stale ? t("data_stale", { ago: ago(snapshot.generated_at) }) : null),
    };
}
