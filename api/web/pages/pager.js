// Links to pages: first, previous, some around, next, last.

import { fill, h } from "../common/dom.js";
import { number, t } from "../common/i18n.js";

const AROUND = 2;

export function createPager(hrefOf, onChoose) {
    const element = h("nav", { class: "pager", "aria-label": t("pages") });

    function item(page, text, { label, now = false, far = false } = {}) {
        if (page === null) {
            return h("span", { class: "page page-off", "aria-hidden": "true" }, text);
        }
        return h("a", {
            class: far ? "page page-far" : "page", href: hrefOf(page), "aria-label": label, "aria-current": now ? "page" : null,
            onclick(event) {
                if (!(event.metaKey || event.ctrlKey || event.shiftKey || event.button)) {
                    event.preventDefault();
                    onChoose(page);
                }
            },
        }, text);
    }

    return {
        element,
        set(page, pages) {
            const from = Math.max(1, Math.min(page - AROUND, pages - 2 * AROUND));
            const to = Math.min(pages, Math.max(page + AROUND, 1 + 2 * AROUND));
            const middle = [];
            for (let i = from; i <= to; i++) {
                middle.push(item(i, number(i), { label: t("page_n", { page: number(i) }), now: i === page, far: Math.abs(i - page) > 1 }));
            }
            element.hidden = pages <= 1;
            fill(element,
                item(page > 1 ? 1 : null, "«", { label: t("page_first") }),
                item(page > 1 ? page - 1 : null, "‹", { label: t("page_before") }),
                middle,
                item(page < pages ? page + 1 : null, "›", { label: t("page_next") }),
                item(page < pages ? pages : null, "»", { label: t("page_last") }));
        },
    };
}
