// What a reader chose, kept in the browser. Theme and language are cookies, so that the server sends
// the page in them at once; lists stay in localStorage and are never sent.

const YEAR_S = 31536000;

function setCookie(name, value) {
    document.cookie = `${name}=${value}; Path=/; Max-Age=${YEAR_S}; SameSite=Lax`;
}

function isDark() {
    const theme = document.documentElement.dataset.theme;
    return theme === "auto" ? matchMedia("(prefers-color-scheme: dark)").matches : theme === "dark";
}

export function switchTheme() {
    const theme = isDark() ? "light" : "dark";
    document.documentElement.dataset.theme = theme;
    setCookie("theme", theme);
    document.dispatchEvent(new Event("themechange"));
    return theme;
}

export function chooseLang(lang) {
    setCookie("lang", lang);
}

// ---- lists of characters ----

function read(key) {
    try {
        const list = JSON.parse(localStorage.getItem(key));
        return Array.isArray(list) ? list.filter((c) => typeof c?.server === "string" && typeof c?.name === "string") : [];
    } catch {
        return []; // no storage, or somebody else's data
    }
}

function write(key, list) {
    try {
        localStorage.setItem(key, JSON.stringify(list));
    } catch {
        // full or forbidden: the list is then only as long as the page
    }
}

const same = (a, b) => a.server === b.server && a.name === b.name;

/** A list with a limit, newest first. */
export function storedList(key, limit) {
    return {
        all: () => read(key),
        has: (one) => read(key).some((c) => same(c, one)),
        add(one) {
            write(key, [one, ...read(key).filter((c) => !same(c, one))].slice(0, limit));
        },
        remove(one) {
            write(key, read(key).filter((c) => !same(c, one)));
        },
        clear: () => write(key, []),
    };
}
