"""A browser for tests: Debian's or Ubuntu's Chromium without a window, which talks to nobody by itself."""

from __future__ import annotations

import json
import shutil
import time
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--enable-precise-memory-info",
)
_PATIENCE = 60.0  # seconds; a machine may be busy


def missing() -> str:
    """What keeps a browser from being there, "" where nothing does."""
    if find_spec("selenium") is None:
        return "selenium is not installed"
    return "" if _chromium() and shutil.which("chromedriver") else "chromium and chromedriver are not installed"


def _chromium() -> str | None:
    return shutil.which("chromium") or shutil.which("chromium-browser")


class Browser:
    """A window and what can be seen, done and heard in it."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def open(self, page: Path, place: str = "") -> None:
        """Load a report from its file as if for the first time; `place` is what follows in the address, `#` included."""
        self.driver.get("about:blank")
        self.driver.get(page.as_uri() + place)
        self.until("return document.body?.dataset.ready")

    def js(self, script: str, *arguments: object) -> Any:
        """What a piece of script in the page returns."""
        return self.driver.execute_script(script, *arguments)

    def until(self, script: str, *arguments: object) -> Any:
        """What the script returns as soon as that is true."""
        deadline = time.monotonic() + _PATIENCE
        while not (value := self.js(script, *arguments)):
            if time.monotonic() > deadline:
                raise TimeoutError(f"not within {_PATIENCE:.0f} s: {script}")
            time.sleep(0.02)
        return value

    def seen(self, selector: str) -> list[str]:
        """The texts, as they are on the screen, of the elements that can be seen."""
        return list(
            self.js(
                "return [...document.querySelectorAll(arguments[0])]"
                ".filter((one) => one.checkVisibility()).map((one) => one.innerText.trim())",
                selector,
            )
        )

    def click(self, selector: str) -> None:
        """Click, as a pointer would, the first of the elements that can be seen."""
        for element in self.driver.find_elements("css selector", selector):
            if element.is_displayed():
                element.click()
                return
        raise LookupError(selector)

    def press(self, *keys: str) -> None:
        """Press keys wherever the focus is; names are those of selenium's `Keys`, other texts are typed."""
        from selenium.webdriver import ActionChains, Keys

        chain = ActionChains(self.driver)
        for key in keys:
            chain.send_keys(getattr(Keys, key, key))
        chain.perform()

    def resize(self, width: int, height: int) -> None:
        """Give the page a window of that size."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.command("Emulation.setDeviceMetricsOverride", **size)

    def prefer(self, scheme: str) -> None:
        """Be a reader whose system is `light` or `dark`."""
        self.command("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def picture(self) -> bytes:
        """What is on the screen, as PNG."""
        return b64decode(self.command("Page.captureScreenshot", format="png")["data"])

    def printed(self) -> bytes:
        """What a printer would get, as PDF."""
        return b64decode(self.command("Page.printToPDF", printBackground=True, preferCSSPageSize=True)["data"])

    def command(self, name: str, **arguments: object) -> Any:
        """A command of the DevTools protocol."""
        return self.driver.execute_cdp_cmd(name, arguments)

    def complaints(self) -> list[str]:
        """What the console has got since last asked: errors, warnings, violations of the page's security policy."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def asked_for(self) -> set[str]:
        """Every address that was asked for since last asked, whether or not an answer came."""
        messages = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        sent = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
        opened = [m["params"]["url"] for m in messages if m["method"] == "Network.webSocketCreated"]
        return {*sent, *opened}


@contextmanager
def browser(profile: Path, *, width: int = 1440, height: int = 900) -> Iterator[Browser]:
    """A browser of its own with a profile in that folder."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = _chromium() or ""
    for flag in (*_FLAGS, f"--user-data-dir={profile}", f"--window-size={width},{height}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    try:
        window = Browser(driver)
        window.resize(width, height)
        yield window
    finally:
        driver.quit()
