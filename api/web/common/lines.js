// Lines over time with uPlot, which is loaded when the first chart is drawn.

import { h } from "./dom.js";
import { lang, number } from "./i18n.js";

const here = new URL("../vendor/uplot/", import.meta.url);
let library = null;

function load() {
    library ??= new Promise((resolve, reject) => {
        const style = h("link", { rel: "stylesheet", href: new URL("uPlot.min.css", here).href, onload: resolve, onerror: reject });
        document.head.append(style);
    }).then(() => import(new URL("uPlot.esm.js", here).href));
    return library;
}

/** A colour of the style sheet as canvas understands it. */
function colour(name) {
    const probe = h("span", { hidden: true, class: `probe-${name}` });
    document.body.append(probe);
    const value = getComputedStyle(probe).color;
    probe.remove();
    return value;
}

const day = new Intl.DateTimeFormat(lang, { month: "numeric", day: "numeric" });
const HEIGHT = 260;

/** xs: seconds; ys: values. reversed: small is up (ranks). Puts the chart into host, which keeps its size. */
export async function drawLine(host, { xs, ys, label, timeLabel, reversed = false }) {
    const { default: UPlot } = await load();
    const [line, text, grid] = [colour("accent"), colour("muted"), colour("line")];
    const axis = { stroke: text, font: "12px sans-serif", grid: { stroke: grid, width: 1 }, ticks: { show: false } };
    const options = {
        width: host.clientWidth,
        height: HEIGHT,
        cursor: { drag: { x: false, y: false }, points: { size: 8 } },
        legend: { live: true },
        scales: { y: { dir: reversed ? -1 : 1, range: (_, low, high) => (low === high ? [low - 1, high + 1] : [low - (high - low) * 0.12, high + (high - low) * 0.12]) } },
        axes: [
            { ...axis, space: 60, values: (_, at) => at.map((v) => day.format(new Date(v * 1000))) },
            { ...axis, size: 62, values: (_, at) => at.map((v) => number(v)) },
        ],
        series: [
            { label: timeLabel, value: (_, v) => (v === null || v === undefined ? "" : day.format(new Date(v * 1000))) },
            { label, stroke: line, width: 2, points: { show: xs.length < 40, size: 6, fill: line }, value: (_, v) => number(v) },
        ],
    };
    host.replaceChildren();
    const plot = new UPlot(options, [xs, ys], host);
    const onResize = () => {
        if (host.clientWidth !== plot.width) {
            plot.setSize({ width: host.clientWidth, height: HEIGHT });
        }
    };
    addEventListener("resize", onResize);
    return () => {
        removeEventListener("resize", onResize);
        plot.destroy();
    };
}
