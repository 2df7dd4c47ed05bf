// Questions to the api. Everything that goes wrong is a Problem with a status and a sentence.

const TIMEOUT_MS = 15000;

/** status 0: nobody answered. */
export class Problem extends Error {
    constructor(status, detail, { param = null, retryAfterS = null } = {}) {
        super(detail);
        this.status = status;
        this.param = param;
        this.retryAfterS = retryAfterS;
    }
}

/** path?key=value; empty values are left out. */
export function address(path, params = {}) {
    const query = new URLSearchParams();
    for (const [key, value] of Object.entries(params)) {
        if (value !== null && value !== undefined && value !== "") {
            query.set(key, value);
        }
    }
    const text = query.toString();
    return text ? `${path}?${text}` : path;
}

async function readProblem(response) {
    const retry = Number.parseInt(response.headers.get("Retry-After"), 10);
    const extra = { retryAfterS: Number.isFinite(retry) ? retry : null };
    try {
        const doc = await response.json();
        extra.param = doc.param ?? null;
        return new Problem(response.status, String(doc.detail ?? doc.title ?? ""), extra);
    } catch {
        return new Problem(response.status, response.statusText, extra);
    }
}

/**
 * Resolves with {data, headers} (cache "no-cache": asks even while a kept answer would do); rejects with a Problem, or with an AbortError when the caller's
 * signal ends it.
 */
export async function ask(url, { method = "GET", body, headers = {}, signal, cache = "default" } = {}) {
    const limit = new AbortController();
    const timer = setTimeout(() => limit.abort(), TIMEOUT_MS);
    const onAbort = () => limit.abort();
    signal?.addEventListener("abort", onAbort);
    try {
        const response = await fetch(url, {
            method,
            cache,
            signal: limit.signal,
            headers: body === undefined ? headers : { "Content-Type": "application/json", ...headers },
            body: body === undefined ? undefined : JSON.stringify(body),
        });
        if (!response.ok) {
            throw await readProblem(response);
        }
        return { data: await response.json(), headers: response.headers };
    } catch (error) {
        if (signal?.aborted || error instanceof Problem) {
            throw error;
        }
        throw new Problem(0, String(error.message ?? error));
    } finally {
        clearTimeout(timer);
        signal?.removeEventListener("abort", onAbort);
    }
}

export async function getJson(path, params, options) {
    return (await ask(address(path, params), options)).data;
}

export async function postJson(path, body, options) {
    return ask(path, { ...options, method: "POST", body });
}
