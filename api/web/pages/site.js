// The frame of every page: menu, search, theme and language.

import { byId } from "../common/dom.js";
import { chooseLang, switchTheme } from "../common/prefs.js";
import { characterLink, link } from "./parts.js";
import { attachSearch, lookUp } from "./search.js";

const page = document.body.dataset.page;
const lead = { character: "ranking" };

for (const anchor of document.querySelectorAll("a[data-nav]")) {
    if (anchor.dataset.nav === (lead[page] ?? page)) {
        anchor.setAttribute("aria-current", anchor.dataset.nav === page ? "page" : "true");
    }
}
for (const anchor of document.querySelectorAll("a[data-keep]")) {
    anchor.href = link(anchor.getAttribute("href"));
}

byId("switch-theme").addEventListener("click", switchTheme);
byId("switch-lang").addEventListener("click", (event) => {
    const params = new URLSearchParams(location.search);
    params.delete("lang");
    chooseLang(event.currentTarget.lang);
    event.preventDefault();
    const query = params.toString();
    if (location.search === (query ? `?${query}` : "")) {
        location.reload();
    } else {
        location.assign(location.pathname + (query ? `?${query}` : ""));
    }
});

attachSearch(byId("site-search"), { onChoose: (c) => location.assign(characterLink(c)), onLookUp: lookUp });
