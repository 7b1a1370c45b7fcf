"""Browsers for tests: headless Chromium, a seat that is signed in, and what axe finds on a page.

Chromium is looked for as the generators look for it, then playwright's own.
"""

import re
from typing import Any, Protocol

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Page

from trainer.synth.pages.renderer import NoBrowser, find_browser

TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]


def find_chromium() -> str | None:
    try:
        return find_browser()
    except NoBrowser:
        return None


class Served(Protocol):
    """A service that runs somewhere."""

    @property
    def url(self) -> str: ...


class Seat:
    """A signed-in browser; a page that logs an error or breaks its own policy fails the test."""

    def __init__(self, context: BrowserContext, work: Served, key: str, name: str) -> None:
        self.context, self.work = context, work
        self.faults: list[str] = []
        self.page = context.new_page()
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("console", self._hear)
        self.page.goto(f"{work.url}/login")
        self.page.get_by_label("Your name").fill(name)
        self.page.get_by_label("API key").fill(key)
        self.page.get_by_role("button", name="Sign in").click()
        self.page.wait_for_url(re.compile(r"/$"))

    def _hear(self, message: Any) -> None:
        # A refused request is told too; what the page does about it is what the test looks at.
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.faults.append(message.text)

    def open(self, path: str) -> Page:
        self.page.goto(f"{self.work.url}{path}")
        return self.page

    def review(self, prediction_id: str) -> Page:
        page = self.open(f"/review/{prediction_id}")
        page.locator("body[data-ready]").wait_for()
        return page


def middle_of(page: Page) -> tuple[float, float]:
    """Of what is seen of the page image."""
    stage, sheet = page.locator("#stage").bounding_box(), page.locator("#sheet").bounding_box()
    assert stage is not None
    assert sheet is not None
    left, top = max(stage["x"], sheet["x"]), max(stage["y"], sheet["y"])
    right = min(stage["x"] + stage["width"], sheet["x"] + sheet["width"])
    bottom = min(stage["y"] + stage["height"], sheet["y"] + sheet["height"])
    return (left + right) / 2, (top + bottom) / 2


def violations(page: Page) -> list[str]:
    result = Axe().run(page, options={"runOnly": {"type": "tag", "values": TAGS}})
    return [
        f"{found['id']}: {node['target']} {node['failureSummary']}"
        for found in result.response["violations"]
        for node in found["nodes"]
    ]
