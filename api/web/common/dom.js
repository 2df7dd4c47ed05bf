// Elements without markup: texts only ever become text nodes.

const SVG = "http://www.w3.org/2000/svg";

function append(parent, children) {
    for (const child of children.flat(Infinity)) {
        if (child !== null && child !== undefined && child !== false) {
            parent.append(child); // a string becomes a text node
        }
    }
    return parent;
}

// Functions are listeners ("onclick"); true is an empty attribute; null and false leave it out.
function setAll(element, props) {
    for (const [key, value] of Object.entries(props || {})) {
        if (typeof value === "function") {
            element.addEventListener(key.replace(/^on/, ""), value);
        } else if (value !== null && value !== undefined && value !== false) {
            element.setAttribute(key, value === true ? "" : value);
        }
    }
    return element;
}

/** An element: h("a", {href: "/", class: "x"}, "text", otherElement). */
export function h(tag, props, ...children) {
    return append(setAll(document.createElement(tag), props), children);
}

/** The same for SVG. */
export function s(tag, props, ...children) {
    return append(setAll(document.createElementNS(SVG, tag), props), children);
}

/** Puts the children in place of what the element has. */
export function fill(element, ...children) {
    element.replaceChildren();
    return append(element, children);
}

export function byId(id) {
    return document.getElementById(id);
}

/** Tells screen readers, without taking the focus away. */
export function announce(text) {
    byId("announcer").textContent = text;
}

/** The page shows its data (or why it has none): for who waits for it. */
export function markReady() {
    byId("main").dataset.ready = "";
}

let toastTimer = 0;

/** A short message for everybody. */
export function toast(text) {
    document.querySelector(".toast")?.remove();
    clearTimeout(toastTimer);
    document.body.append(h("div", { class: "toast", "aria-hidden": "true" }, text));
    announce(text);
    toastTimer = setTimeout(() => document.querySelector(".toast")?.remove(), 3500);
}

/** Calls fn no sooner than `ms` after the last call of what this returns. */
export function debounce(ms, fn) {
    let timer = 0;
    return (...args) => {
        clearTimeout(timer);
        timer = setTimeout(() => fn(...args), ms);
    };
}
