// Small pictures in SVG. Each has a sentence for screen readers; the numbers are in a table beside it.

import { s } from "./dom.js";

const point = (angle, radius) => [Math.sin(angle) * radius, -Math.cos(angle) * radius];
const path = (points) => points.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`).join(" ");

/**
 * A radar. axes: labels; series: [{values, className}]; `ring` has a line of its own; values beyond
 * `top` end at the edge.
 */
export function radar({ label, axes, series, top = 2, ring = 1 }) {
    const R = 104;
    const angles = axes.map((_, i) => (i / axes.length) * 2 * Math.PI);
    const shape = (values) => path(values.map((v, i) => point(angles[i], (Math.max(0, Math.min(v ?? 0, top)) / top) * R)));
    const ringAt = (at, className) => s("polygon", { class: className, points: shape(axes.map(() => at)) });
    const rings = [1, 2, 3, 4].map((k) => ringAt((top * k) / 4, "radar-ring"));
    if (ring < top) {
        rings.push(ringAt(ring, "radar-average"));
    }
    const spokes = angles.map((a) => {
        const [x, y] = point(a, R);
        return s("line", { class: "radar-ring", x1: 0, y1: 0, x2: x, y2: y });
    });
    const labels = axes.map((text, i) => {
        const [x, y] = point(angles[i], R + 14);
        const anchor = Math.abs(x) < 20 ? "middle" : x > 0 ? "start" : "end";
        return s("text", { x, y: y + 4, "text-anchor": anchor, class: "radar-label" }, text);
    });
    const shapes = series.flatMap(({ values, className }) => [
        s("polygon", { class: `radar-shape ${className}`, points: shape(values) }),
        ...values.map((v, i) => {
            const [x, y] = point(angles[i], (Math.max(0, Math.min(v ?? 0, top)) / top) * R);
            return s("circle", { class: `radar-dot ${className}`, cx: x, cy: y, r: 3 });
        }),
    ]);
    return s("svg", { class: "radar", viewBox: "-180 -136 360 276", role: "img", "aria-label": label }, rings, spokes, shapes, labels);
}

/** Columns. bars: [{value, title, className}]; ticks: {index, text}. */
export function columns({ label, bars, ticks = [], height = 180 }) {
    const W = 640;
    const step = W / Math.max(1, bars.length);
    const most = Math.max(1, ...bars.map((b) => b.value));
    const marks = bars.map((bar, i) => {
        const size = bar.value > 0 ? Math.max(2, (bar.value / most) * (height - 8)) : 0;
        return s("rect", { class: `column ${bar.className ?? ""}`, x: i * step + 1, y: height - size, width: Math.max(1, step - 2), height: size, rx: 2 },
            s("title", null, bar.title));
    });
    const texts = ticks.map(({ index, text }) =>
        s("text", { class: "column-tick", x: Math.min(W - 22, Math.max(18, index * step)), y: height + 23, "text-anchor": "middle" }, text));
    return s("svg", { class: "columns", viewBox: `0 0 ${W} ${height + 32}`, role: "img", "aria-label": label },
        s("line", { class: "column-base", x1: 0, y1: height, x2: W, y2: height }), marks, texts);
}

/** A bar from 0 to `most`, with an optional mark at `mark`. A picture only: the number is text. */
export function bar({ value, most, mark = null, className = "" }) {
    const x = (v) => Math.max(0, Math.min(100, (v / most) * 100));
    return s("svg", { class: `bar ${className}`, viewBox: "0 0 100 8", preserveAspectRatio: "none", "aria-hidden": "true" },
        s("rect", { class: "bar-ground", x: 0, y: 1, width: 100, height: 6 }),
        s("rect", { class: "bar-value", x: 0, y: 1, width: x(value), height: 6 }),
        mark === null ? null : s("rect", { class: "bar-mark", x: x(mark) - 0.4, y: 0, width: 0.8, height: 8 }));
}
