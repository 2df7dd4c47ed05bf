// Every text on the page whose contrast with its ground is below 4.5 (3 for large text).
const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
canvas.canvas.width = canvas.canvas.height = 1;
function rgba(colour) {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
}
const over = (top, under) => [0, 1, 2].map((i) => top[i] * top[3] + under[i] * (1 - top[3])).concat(1);
function light([r, g, b]) {
    const [x, y, z] = [r, g, b].map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
}
function groundOf(element) {
    const layers = [];
    for (let e = element; e; e = e.parentElement) {
        const style = getComputedStyle(e);
        layers.push(rgba(style.backgroundColor));
        if (style.backgroundImage.includes("radial-gradient")) {
            layers.push([20, 60, 90, 1]); // the head of a page: the lightest that its gradients get
        }
        if (layers.at(-1)[3] === 1) {
            break;
        }
    }
    return layers.reverse().reduce((under, top) => over(top, under), [255, 255, 255, 1]);
}
const bad = new Set();
const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walk.nextNode()) {
    const element = walk.currentNode.parentElement;
    const box = element.getBoundingClientRect();
    if (!walk.currentNode.data.trim() || box.width <= 1 || box.height <= 1 || !element.checkVisibility() || element.closest("[aria-hidden=true].page-off, noscript, script, .sr-only, .skip")) {
        continue;
    }
    const style = getComputedStyle(element);
    const svg = element instanceof SVGElement;
    const ground = groundOf(element);
    const text = over(rgba(svg ? style.fill : style.color), ground);
    const [a, b] = [light(text), light(ground)].sort((x, y) => y - x);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.6 && Number(style.fontWeight) >= 700);
    if ((a + 0.05) / (b + 0.05) < (large ? 3 : 4.5)) {
        bad.add(`${((a + 0.05) / (b + 0.05)).toFixed(2)} ${element.tagName}.${element.className.baseVal ?? element.className} "${walk.currentNode.data.trim().slice(0, 30)}"`);
    }
}
return [...bad];
