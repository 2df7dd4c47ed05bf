// Texts and numbers in the page's language.

export const LANGS = ["ko", "en"];
export const lang = document.documentElement.lang === "en" ? "en" : "ko";

const texts = {};

/** Adds a table of key: [Korean, English]. */
export function addTexts(table) {
    Object.assign(texts, table);
}

export function hasText(key) {
    return Object.hasOwn(texts, key);
}

/** The text of a key, with {names} replaced. */
export function t(key, values = {}) {
    const pair = texts[key];
    if (!pair) {
        console.error(`no text ${key}`);
        return key;
    }
    return pair[LANGS.indexOf(lang)].replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

const whole = new Intl.NumberFormat(lang, { maximumFractionDigits: 0 });
const decimals = new Map();

export function number(value) {
    return value === null || value === undefined ? "–" : whole.format(value);
}

export function decimal(value, digits = 2) {
    if (!decimals.has(digits)) {
        decimals.set(digits, new Intl.NumberFormat(lang, { minimumFractionDigits: digits, maximumFractionDigits: digits }));
    }
    return decimals.get(digits).format(value);
}

/** +12 or -3, with a real minus sign. */
export function signed(value) {
    return value > 0 ? `+${number(value)}` : value < 0 ? `−${number(-value)}` : "0";
}

const dateTime = new Intl.DateTimeFormat(lang, { dateStyle: "medium", timeStyle: "short" });
const clock = new Intl.DateTimeFormat(lang, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const relative = new Intl.RelativeTimeFormat(lang, { numeric: "auto" });
const UNITS = [["day", 86400], ["hour", 3600], ["minute", 60]];

export function when(iso) {
    return dateTime.format(new Date(iso));
}

export function clockTime(iso) {
    return clock.format(new Date(iso));
}

/** "3 minutes ago" */
export function ago(iso, now = Date.now()) {
    const seconds = Math.round((new Date(iso).getTime() - now) / 1000);
    for (const [unit, size] of UNITS) {
        if (Math.abs(seconds) >= size) {
            return relative.format(Math.trunc(seconds / size), unit);
        }
    }
    return relative.format(0, "second");
}

/** 4:05 of so many seconds. */
export function minutes(seconds) {
    const left = Math.max(0, Math.ceil(seconds));
    const rest = String(left % 60).padStart(2, "0");
    return left >= 3600
        ? `${Math.floor(left / 3600)}:${String(Math.floor(left / 60) % 60).padStart(2, "0")}:${rest}`
        : `${Math.floor(left / 60)}:${rest}`;
}
