// Nothing at this address: the frame with its menu and search is all there is.

import "./site.js";
