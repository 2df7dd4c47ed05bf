// The search field: a combobox with a list (ARIA 1.2), names completed by the api while one types.

import { announce, debounce, fill, h } from "../common/dom.js";
import { getJson } from "../common/http.js";
import { number, t } from "../common/i18n.js";
import { aboutLine, link, nameText, tierBadge } from "./parts.js";

const LIMIT = 8;
const PAUSE_MS = 120;

let counter = 0;

/**
 * Makes a text field a combobox. onChoose(character) when one is taken; onLookUp(text), when given,
 * adds a last entry for names that are not on the board.
 */
export function attachSearch(input, { onChoose, onLookUp = null }) {
    const id = `found-${++counter}`;
    const list = h("ul", { id, role: "listbox", "aria-label": t("search_results"), class: "found", hidden: true });
    const hint = h("p", { class: "found-hint", hidden: true });
    const box = h("div", { class: "found-box", hidden: true }, list, hint);
    let entries = []; // {element, take}
    let active = -1;
    let asking = null;
    let enterWaits = false; // pressed before the answer came

    for (const [key, value] of Object.entries({ role: "combobox", "aria-autocomplete": "list", "aria-controls": id, "aria-expanded": "false", "aria-haspopup": "listbox" })) {
        input.setAttribute(key, value);
    }
    input.after(box);

    function close() {
        asking?.abort();
        enterWaits = false;
        fill(list);
        box.hidden = list.hidden = hint.hidden = true;
        entries = [];
        setActive(-1);
        input.setAttribute("aria-expanded", "false");
    }

    function setActive(i) {
        entries[active]?.element.setAttribute("aria-selected", "false");
        active = i;
        const element = entries[i]?.element;
        if (element) {
            element.setAttribute("aria-selected", "true");
            element.scrollIntoView({ block: "nearest" });
            input.setAttribute("aria-activedescendant", element.id);
        } else {
            input.removeAttribute("aria-activedescendant");
        }
    }

    function entry(i, take, ...content) {
        const element = h("li", { role: "option", id: `${id}-${i}`, "aria-selected": "false", class: "found-one", onmousedown: (e) => e.preventDefault(), onclick: take }, content);
        return { element, take };
    }

    function characterEntry(c, i) {
        return entry(i, () => { close(); input.value = ""; onChoose(c); },
            h("span", { class: "found-rank" }, t("place", { rank: number(c.rank) })),
            h("span", { class: "found-name" }, nameText(c.name), h("span", { class: "found-about" }, aboutLine(c))),
            tierBadge(c.power_rank, "tier-small"));
    }

    function open(items, text) {
        entries = items.map(characterEntry);
        if (onLookUp) {
            entries.push(entry(entries.length, () => { close(); onLookUp(text); }, h("span", { class: "found-more" }, t("search_source", { text }))));
        }
        fill(list, entries.map((e) => e.element));
        list.dataset.of = text; // what it answers
        list.hidden = entries.length === 0;
        hint.textContent = items.length ? "" : t("search_none", { text });
        hint.hidden = items.length > 0;
        box.hidden = false;
        setActive(-1);
        input.setAttribute("aria-expanded", String(entries.length > 0));
        announce(items.length ? t("search_count", { count: items.length }) : hint.textContent);
        if (enterWaits && items.length) {
            entries[0].take();
        }
        enterWaits = false;
    }

    function fail() {
        fill(list);
        list.hidden = true;
        hint.textContent = t("search_failed");
        hint.hidden = box.hidden = false;
        announce(hint.textContent);
    }

    async function look() {
        const text = input.value.trim();
        asking?.abort();
        if (!text) {
            close();
            return;
        }
        const mine = asking = new AbortController();
        try {
            const data = await getJson("/api/characters", { prefix: text, limit: LIMIT }, { signal: mine.signal });
            if (!mine.signal.aborted) {
                open(data.items, text);
            }
        } catch (error) {
            if (!mine.signal.aborted) {
                fail(error);
            }
        }
    }

    // What is shown no longer fits what is typed.
    function onInput() {
        entries = [];
        setActive(-1);
        lookSoon();
    }

    const lookSoon = debounce(PAUSE_MS, look);
    const KEYS = {
        ArrowDown: () => (entries.length ? setActive((active + 1) % entries.length) : look()),
        ArrowUp: () => entries.length && setActive((Math.max(active, 0) + entries.length - 1) % entries.length),
        Escape: () => (box.hidden ? (input.value = "") : close()),
        Enter() {
            enterWaits = entries.length === 0;
            (entries[active] ?? entries[0])?.take();
        },
    };

    input.addEventListener("input", onInput);
    input.addEventListener("focus", () => input.value.trim() && lookSoon());
    input.addEventListener("blur", close);
    input.addEventListener("keydown", (event) => {
        const act = KEYS[event.key];
        if (act && !event.isComposing) { // the Enter that ends a Korean syllable is not ours
            event.preventDefault();
            act();
        }
    });
}

/** Names that nobody here has: the character page asks the official site. */
export function lookUp(text) {
    location.assign(link("/character", { name: text }));
}
