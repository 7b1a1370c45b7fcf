"""HTML -> one printed page: laid out, cut to the sheet, measured, and printed as a PDF.

One browser draws all pages, a few at a time, each in a tab that stays open. Nothing of a page is
run: scripts are removed before it is shown, and the tabs have no network.
"""

import asyncio
import os
import shutil
from dataclasses import dataclass
from importlib.resources import files
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from extraction.errors import DocloopError
from trainer.synth.pages.katex import katex_css, katex_script

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page, Playwright

BROWSER_VARIABLE = "DOCLOOP_CHROMIUM"
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_ARGUMENTS = ("--disable-gpu", "--disable-dev-shm-usage", "--font-render-hinting=none")
_SHELL = '<!doctype html><html><head><meta charset="utf-8"><style>{css}</style></head><body></body>'


class NoBrowser(DocloopError):
    """Pages cannot be drawn: no Chromium, or no package to drive it.

    Args:
        why: what is missing.
    """

    slug = "no-browser"

    def __init__(self, why: str) -> None:
        self.why = why
        super().__init__(
            f"Pages cannot be drawn: {why}. Install playwright (extra `train`) and Chromium, and "
            f"set {BROWSER_VARIABLE} where Chromium is not on the path."
        )


@dataclass(frozen=True, slots=True)
class Printed:
    """One page as the browser laid it out.

    Attributes:
        body: the HTML of the body after what did not fit was cut, formulas as TeX.
        pdf: the page, one sheet.
        faults: what is wrong with the layout; a good page has none.
        figures: boxes of drawings in CSS pixels, in document order.
        words: how many the page has.
        table_ratio: area of tables over that of all content.
        figure_ratio: area of figures over that of all content.
        content_ratio: where the content ends, of the sheet's height.
    """

    body: str
    pdf: bytes
    faults: tuple[str, ...]
    figures: tuple[tuple[float, float, float, float], ...]
    words: int
    table_ratio: float
    figure_ratio: float
    content_ratio: float


def find_browser() -> str:
    """Path of Chromium.

    Raises:
        NoBrowser: there is none.
    """
    named = os.environ.get(BROWSER_VARIABLE)
    found = named or next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None:
        raise NoBrowser("no Chromium is on the path")
    if shutil.which(found) is None:
        raise NoBrowser(f"{found} is no program")
    return found


class Renderer:
    """A browser that prints pages; an async context manager.

    Args:
        tabs: how many pages are laid out at a time.
        browser: path of Chromium; found where None.

    Raises:
        NoBrowser: on entering, where there is none or it does not start.
    """

    def __init__(self, tabs: int = 2, browser: str | None = None) -> None:
        self._count = tabs
        self._path = browser
        self._playwright: Playwright | None = None
        self._browser: Browser | None = None
        self._tabs: asyncio.Queue[Page] = asyncio.Queue()

    async def __aenter__(self) -> Self:
        path = self._path or find_browser()
        try:
            from playwright.async_api import Error, async_playwright
        except ImportError as error:
            raise NoBrowser("the package playwright is not installed") from error
        self._playwright = await async_playwright().start()
        try:
            self._browser = await self._playwright.chromium.launch(
                executable_path=path, args=list(_ARGUMENTS)
            )
            for _ in range(self._count):
                self._tabs.put_nowait(await self._open(self._browser))
        except Error as error:
            await self.__aexit__(None, None, None)
            raise NoBrowser(f"{path} does not start ({str(error).splitlines()[0]})") from error
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._browser is not None:
            await self._browser.close()
        if self._playwright is not None:
            await self._playwright.stop()

    @property
    def version(self) -> str:
        """Of the browser."""
        return self._browser.version if self._browser is not None else ""

    async def print(self, html: str, width: int, height: int) -> Printed:
        """One page of a size in CSS pixels.

        A tab that fails is replaced; the page then has the fault "browser".
        """
        tab = await self._tabs.get()
        try:
            return await _print(tab, html, width, height)
        finally:
            if tab.is_closed() and self._browser is not None:
                tab = await self._open(self._browser)
            self._tabs.put_nowait(tab)

    async def screenshot(self, html: str, width: int, height: int | None = None) -> bytes:
        """A PNG of a page as it is, nothing cut; of its whole length where `height` is None."""
        tab = await self._tabs.get()
        try:
            await tab.set_viewport_size({"width": width, "height": height or 800})
            await _show(tab, html)
            return await tab.screenshot(type="png", full_page=height is None)
        finally:
            self._tabs.put_nowait(tab)

    async def _open(self, browser: "Browser") -> "Page":
        context = await browser.new_context(offline=True, service_workers="block")
        tab = await context.new_page()
        await tab.set_content(_SHELL.format(css=katex_css()))
        await tab.emulate_media(media="print")
        layout = files("trainer.synth.pages").joinpath("page.js").read_text(encoding="utf-8")
        for script in (katex_script(), layout):
            await tab.evaluate("(script) => { (0, eval)(script); }", script)
        return tab


async def _show(tab: "Page", html: str) -> list[str]:
    refused: list[str] = await tab.evaluate(
        """async (html) => {
            docloop.load(html);
            const refused = docloop.typeset();
            document.body.getBoundingClientRect();
            await document.fonts.ready;
            return refused;
        }""",
        html,
    )
    return refused


async def _print(tab: "Page", html: str, width: int, height: int) -> Printed:
    await tab.set_viewport_size({"width": width, "height": height})
    refused = await _show(tab, html)
    found: dict[str, Any] = await tab.evaluate(
        """([width, height]) => {
            docloop.fit();
            return { ...docloop.measure(width, height), body: docloop.source() };
        }""",
        [width, height],
    )
    faults = [*found["faults"], *(["a formula that cannot be set"] if refused else [])]
    pdf = b""
    if not faults:
        pdf = await tab.pdf(width=f"{width}px", height=f"{height}px", print_background=True)
    return Printed(
        body=found["body"],
        pdf=pdf,
        faults=tuple(faults),
        figures=tuple(tuple(box) for box in found["figures"]),
        words=found["words"],
        table_ratio=found["table_area"] / found["content_area"],
        figure_ratio=found["figure_area"] / found["content_area"],
        content_ratio=found["content_ratio"],
    )
