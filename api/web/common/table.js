// A table from a list of columns: sorting by buttons in the heads, a skeleton while data are on the way.

import { fill, h } from "./dom.js";

/**
 * columns: {key, label, class, sort (value of a row, makes the column sortable), cell (row => node or
 * text), head: true (the row's heading)}. Returns {element, setRows, setSkeleton, setColumns}.
 */
export function createTable({ caption, columns, className = "", onSort = null, rowProps = null }) {
    const headRow = h("tr");
    const body = h("tbody");
    const element = h("table", { class: `table ${className}` },
        h("caption", { class: "sr-only" }, caption), h("thead", null, headRow), body);
    let rows = [];
    let sorted = null; // {key, down}

    function headOf(column) {
        const props = { scope: "col", class: column.class ?? null };
        if (!column.sort) {
            return h("th", props, column.label);
        }
        if (sorted?.key === column.key) {
            props["aria-sort"] = sorted.down ? "descending" : "ascending";
        }
        return h("th", props, h("button", { type: "button", class: "sort", onclick: () => sortBy(column.key) }, column.label));
    }

    function cellOf(column, row) {
        const props = { class: column.class ?? null };
        return column.head
            ? h("th", { ...props, scope: "row" }, column.cell(row))
            : h("td", props, column.cell(row));
    }

    function inOrder() {
        const column = columns.find((c) => c.key === sorted?.key);
        if (!column) {
            return rows;
        }
        const value = (row) => column.sort(row) ?? -Infinity;
        const order = rows.slice().sort((a, b) => {
            const [x, y] = [value(a), value(b)];
            return typeof x === "string" ? x.localeCompare(y) : x - y;
        });
        return sorted.down ? order.reverse() : order;
    }

    function draw() {
        fill(headRow, columns.map(headOf));
        fill(body, inOrder().map((row) => h("tr", rowProps?.(row), columns.map((c) => cellOf(c, row)))));
        element.removeAttribute("aria-busy");
    }

    function sortBy(key) {
        sorted = { key, down: sorted?.key === key ? !sorted.down : true };
        draw();
        element.querySelector("[aria-sort] button")?.focus();
        onSort?.(sorted);
    }

    return {
        element,
        setRows(list) {
            rows = list;
            draw();
        },
        /** Places for n rows, of the height that rows have. */
        setSkeleton(n) {
            element.setAttribute("aria-busy", "true");
            fill(headRow, columns.map(headOf));
            fill(body, Array.from({ length: n }, () =>
                h("tr", { "aria-hidden": "true" }, columns.map((c) => h("td", { class: c.class ?? null }, h("span", { class: "bone" }))))));
        },
        setSort(key, down) {
            sorted = { key, down };
        },
        setColumns(list) {
            columns = list;
        },
        setCaption(text) {
            element.caption.textContent = text;
        },
    };
}
