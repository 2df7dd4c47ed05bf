"""A headless Chromium for the tests, the screenshots and the measurements."""

import base64
import contextlib
import tempfile
import time

from selenium import webdriver
from selenium.common.exceptions import (ElementClickInterceptedException, NoSuchElementException,
                                        StaleElementReferenceException)
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

PHONE = (360, 740)
DESKTOP = (1280, 800)

# What the page itself reports, from before its first script on: shifts of the layout, refusals of the
# security policy, errors nobody caught, and when the first row stood there.
_WATCH = """
window.seen = {shift: 0, refused: [], errors: [], firstRow: null};
new PerformanceObserver(list => {
  for (const e of list.getEntries()) if (!e.hadRecentInput) window.seen.shift += e.value;
}).observe({type: "layout-shift", buffered: true});
document.addEventListener("securitypolicyviolation", e => window.seen.refused.push(e.violatedDirective + " " + e.blockedURI));
addEventListener("error", e => window.seen.errors.push(String(e.message)));
addEventListener("unhandledrejection", e => window.seen.errors.push(String(e.reason)));
new MutationObserver((_, self) => {
  if (document.querySelector("[data-ready]")) {
    requestAnimationFrame(() => { window.seen.firstRow = performance.now(); });
    self.disconnect();
  }
}).observe(document, {subtree: true, childList: true, attributes: true, attributeFilter: ["data-ready"]});
"""


class Browser:
    """One Chromium; emulates a screen of any size. Cookies and storage are empty at reset()."""

    def __init__(self):
        self._profile = tempfile.TemporaryDirectory(prefix="aion2-chromium-")
        options = Options()
        options.binary_location = "/usr/bin/chromium"
        for flag in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--hide-scrollbars",
                     "--disable-background-networking", "--disable-component-update", "--disable-extensions",
                     "--disable-sync", "--no-first-run", f"--user-data-dir={self._profile.name}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = webdriver.Chrome(service=Service("/usr/bin/chromedriver"), options=options)
        self.driver.set_script_timeout(20)
        self.driver.set_page_load_timeout(30)
        self.cdp("Page.addScriptToEvaluateOnNewDocument", source=_WATCH)

    def cdp(self, command, **params):
        return self.driver.execute_cdp_cmd(command, params)

    def close(self):
        self.driver.quit()
        self._profile.cleanup()

    def screen(self, size, theme="light", lang="ko", motion="reduce"):
        width, height = size
        self.cdp("Emulation.setDeviceMetricsOverride", width=width, height=height,
                 deviceScaleFactor=1, mobile=width < 700)
        self.cdp("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": theme}, {"name": "prefers-reduced-motion", "value": motion}])
        self.cdp("Network.enable")
        self.cdp("Network.setExtraHTTPHeaders", headers={
            "Accept-Language": {"ko": "ko-KR,ko;q=0.9,en;q=0.5", "en": "en-US,en;q=0.9"}[lang]})

    def reset(self, url):
        """No cookies, nothing stored, an empty cache and log."""
        self.cdp("Network.clearBrowserCookies")
        self.cdp("Network.clearBrowserCache")
        self.cdp("Storage.clearDataForOrigin", origin=url, storageTypes="all")
        self.driver.get_log("browser")

    def open(self, url):
        """Opens a page and waits until it says that its data are there."""
        self.driver.get(url)
        self.wait_ready()

    def wait_ready(self, timeout=20):
        self.until("return document.querySelector('[data-ready]') !== null", timeout, "the page's data")

    def js(self, script, *args):
        return self.driver.execute_script(script, *args)

    def until(self, script, timeout=15, what=None):
        """Polls the script until what it returns is true, and returns it."""
        deadline = time.monotonic() + timeout
        while True:
            with contextlib.suppress(Exception):
                value = self.js(script)
                if value:
                    return value
            if time.monotonic() > deadline:
                state = self.js("return [document.readyState, document.documentElement.lang, document.cookie,"
                                " document.querySelector('[data-ready]') !== null]")
                raise AssertionError(f"{what or script} did not happen within {timeout} s on {self.driver.current_url};"
                                     f" state: {state}; console: {self.driver.get_log('browser')}")
            time.sleep(0.05)

    def all(self, css):
        return self.driver.find_elements(By.CSS_SELECTOR, css)

    def one(self, css):
        return self.driver.find_element(By.CSS_SELECTOR, css)

    def click(self, css, timeout=10):
        """Clicks the first of these, also when it is drawn anew meanwhile."""
        deadline = time.monotonic() + timeout
        while True:
            try:
                self.one(css).click()
                return
            except (StaleElementReferenceException, NoSuchElementException, ElementClickInterceptedException):
                if time.monotonic() > deadline:
                    raise
            time.sleep(0.05)

    def text(self, css="main"):
        return self.js("return document.querySelector(arguments[0]).innerText", css)

    def complaints(self, allow=()):
        """What the console, the policy and uncaught errors say; allow: texts that may be in it."""
        log = [e["message"] for e in self.driver.get_log("browser") if e["level"] in ("SEVERE", "WARNING")]
        seen = self.js("return window.seen") or {"refused": [], "errors": []}
        return [m for m in log + seen["refused"] + seen["errors"] if not any(a in m for a in allow)]

    def screenshot(self, path, full=False):
        data = self.cdp("Page.captureScreenshot", format="png", captureBeyondViewport=full, **(
            {"clip": {**self._whole(), "scale": 1}} if full else {}))
        with open(path, "wb") as f:
            f.write(base64.b64decode(data["data"]))

    def _whole(self):
        size = self.cdp("Page.getLayoutMetrics")["cssContentSize"]
        return {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], 6000)}
