// Asking the official site for a character (POST /api/search): its limits and its answers.

import { h, toast } from "../common/dom.js";
import { Problem, postJson } from "../common/http.js";
import { t } from "../common/i18n.js";
import { characterLink, problemText, serverLabel } from "./parts.js";

/** The sentence for a refused or failed search. */
export function searchProblemText(problem) {
    if (problem.status === 429) {
        return t("wait_seconds", { seconds: problem.retryAfterS ?? 60 });
    }
    if (problem.status === 404) {
        return t("not_found_source");
    }
    return problem.status >= 400 && problem.status !== 400 ? t("search_unavailable") : problemText(problem);
}

/** Resolves with {character, waitS: how long not to ask again}; rejects with a Problem. */
export async function search(who) {
    const { data, headers } = await postJson("/api/search", { server: who.server, name: who.name });
    const left = Number.parseInt(headers.get("RateLimit-Remaining"), 10);
    const reset = Number.parseInt(headers.get("RateLimit-Reset"), 10);
    return { character: data, waitS: left === 0 && reset > 0 ? reset : 0 };
}

/** A form of server and name. */
export function createLookUp(servers, who) {
    const server = h("select", { class: "field", id: "ask-server", name: "server" },
        servers.map((s) => h("option", { value: s, selected: s === who.server }, serverLabel(s))));
    const name = h("input", { class: "field", id: "ask-name", name: "name", value: who.name, maxlength: "64", autocomplete: "off", required: true });
    const button = h("button", { class: "button button-main", type: "submit" }, t("ask_button"));
    const answer = h("p", { class: "ask-answer", role: "status" });

    async function submit(event) {
        event.preventDefault();
        if (button.disabled) {
            return;
        }
        button.disabled = true;
        answer.textContent = t("ask_busy");
        try {
            const { character } = await search({ server: server.value, name: name.value.trim() });
            location.assign(characterLink(character));
        } catch (problem) {
            if (!(problem instanceof Problem)) {
                throw problem;
            }
            answer.textContent = searchProblemText(problem);
            toast(answer.textContent);
        } finally {
            button.disabled = false;
        }
    }

    return h("section", { class: "card card-pad ask-card" },
        h("div", { class: "card-head" }, h("h2", null, t("ask_heading"))),
        h("p", { class: "muted" }, t("ask_help")),
        h("form", { class: "ask-form", onsubmit: submit },
            h("label", { for: "ask-server" }, t("server")), server,
            h("label", { for: "ask-name" }, t("ask_name")), name, button),
        answer);
}
