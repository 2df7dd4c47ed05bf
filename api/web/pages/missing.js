// Nothing at this address: the frame with its menu and search, and the way to the ranking.

import { byId, fill, h, markReady } from "../common/dom.js";
import { t } from "../common/i18n.js";
import { link } from "./parts.js";
import "./site.js";

fill(byId("app"), h("p", null, h("a", { class: "button button-main", href: link("/") }, t("to_all"))));
markReady();
