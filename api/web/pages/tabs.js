// Servers as tabs: all of them, the first five, the chosen one; further ones in a list.

import { fill, h } from "../common/dom.js";
import { t } from "../common/i18n.js";
import { serverLabel } from "./parts.js";

const FIRST = 5;

/** panel: what the tabs are of. onChoose("") is everybody. {element, set(servers, chosen), select} */
export function createTabs({ panel, hrefOf, onChoose, withAll = true }) {
    const list = h("div", { class: "tabs", role: "tablist", "aria-label": t("servers_tabs") });
    const more = h("select", { class: "field tabs-more", "aria-label": t("other_servers"), onchange: () => more.value && onChoose(more.value) });
    const element = h("div", { class: "tabs-bar" }, list, more);
    let names = [];

    function tab(server, chosen) {
        const on = server === chosen;
        return h("a", {
            role: "tab", class: "tab", id: on ? "tab-now" : null, href: hrefOf(server), "data-server": server,
            "aria-selected": String(on), "aria-controls": panel.id, tabindex: on ? "0" : "-1",
            onclick(event) {
                if (!(event.metaKey || event.ctrlKey || event.shiftKey || event.button)) {
                    event.preventDefault();
                    onChoose(server);
                }
            },
        }, server ? serverLabel(server) : t("all_servers"));
    }

    function draw(chosen) {
        const held = list.contains(document.activeElement);
        const shown = [...(withAll ? [""] : []), ...names.slice(0, FIRST)];
        if (!shown.includes(chosen)) {
            shown.push(chosen);
        }
        fill(list, shown.map((s) => tab(s, chosen)));
        panel.setAttribute("aria-labelledby", "tab-now");
        const rest = names.slice(FIRST);
        fill(more, h("option", { value: "" }, t("other_servers")), rest.map((s) => h("option", { value: s, selected: s === chosen }, serverLabel(s))));
        more.value = rest.includes(chosen) ? chosen : "";
        more.hidden = names.length > 0 && rest.length === 0;
        more.classList.toggle("tabs-wait", names.length === 0); // keeps its place until they are known
        const now = list.querySelector("[aria-selected=true]");
        if (held) {
            now.focus({ preventScroll: true });
        }
        list.scrollLeft = Math.max(0, now.offsetLeft + now.offsetWidth - list.clientWidth);
    }

    // The arrows move, Enter and the space bar choose.
    list.addEventListener("keydown", (event) => {
        const all = [...list.children];
        const at = all.indexOf(document.activeElement);
        const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: all.length - 1 }[event.key];
        if (event.key === " ") {
            event.preventDefault();
            document.activeElement.click();
        } else if (to !== undefined && at >= 0) {
            event.preventDefault();
            all[(to + all.length) % all.length].focus();
        }
    });

    return {
        element,
        set(servers, chosen) {
            names = servers;
            draw(chosen);
        },
        select: draw,
    };
}
