// The characters that are to be compared, kept in the browser from page to page.

import { storedList } from "../common/prefs.js";
import { link } from "./parts.js";

export const COMPARE_MAX = 4;
export const KEYS = ["a", "b", "c", "d"];
export const basket = storedList("aion2rank.compare", COMPARE_MAX);

/** The address of the comparison of these characters. */
export function compareLink(list) {
    return link("/compare", Object.fromEntries(list.map((c, i) => [KEYS[i], `${c.server}:${c.name}`])));
}
