// Who is at the page. The token stays in this tab (sessionStorage) and goes out as a header only:
// no cookie, so nobody else's page can use it.

import { ask, Problem } from "../common/http.js";

const KEY = "aion2rank-token";
const RANK = { read: 0, operate: 1, admin: 2 };

let token = sessionStorage.getItem(KEY) ?? "";
let scope = "";

export const hasToken = () => token !== "";
export const mayDo = (wanted) => scope in RANK && RANK[scope] >= RANK[wanted];

/** Also works where the page is not served over TLS. */
function randomKey() {
    return Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, "0")).join("");
}

function withToken(headers = {}) {
    return token ? { ...headers, Authorization: `Bearer ${token}` } : headers;
}

export async function read(path, signal) {
    return (await ask(path, { headers: withToken(), signal })).data;
}

/** A change. It carries a key, so that a repeated request is done once. */
export async function change(path, body) {
    return (await ask(path, { method: "POST", body, headers: withToken({ "Idempotency-Key": randomKey() }) })).data;
}

/** Resolves with {principal, scope}; rejects with a Problem of status 401 when the token is none. */
export async function signIn(text = token) {
    const before = token;
    token = text.trim();
    try {
        const who = await read("/admin/whoami");
        scope = who.scope;
        if (token) {
            sessionStorage.setItem(KEY, token);
        }
        return who;
    } catch (error) {
        token = before;
        if (error instanceof Problem && error.status === 401) {
            signOut();
        }
        throw error;
    }
}

export function signOut() {
    token = "";
    scope = "";
    sessionStorage.removeItem(KEY);
}
