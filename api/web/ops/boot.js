// Language and theme are set before anything is drawn or translated; the modules come after that.

const root = document.documentElement;
const asked = new URLSearchParams(location.search).get("lang");
const cookie = (name) => document.cookie.match(new RegExp(`(?:^|; )${name}=(\\w+)`))?.[1];
const wanted = asked ?? cookie("lang") ?? navigator.language.slice(0, 2);

root.lang = wanted === "en" ? "en" : "ko";
if (["light", "dark"].includes(cookie("theme"))) {
    root.dataset.theme = cookie("theme");
}
await import("./ops.js");
