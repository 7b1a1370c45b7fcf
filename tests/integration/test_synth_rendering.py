"""Pages in a real browser: what is printed fits, and its truth holds of it."""

import json
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import pytest_asyncio
from PIL import Image

from extraction.markdown.front_matter import TEXT
from trainer.synth.pages.compose import STYLES
from trainer.synth.pages.generate import PageWishes, SyntheticPage, make_page
from trainer.synth.pages.renderer import NoBrowser, Renderer, find_browser
from trainer.synth.pages.series import OtherSeries, Series, make_series, stored
from trainer.synth.pages.shards import StoredPage, read_shards
from trainer.synth.pages.variants import ALLOWED, VARIANTS, failed_kinds

try:
    BROWSER = find_browser()
except NoBrowser as missing:
    pytest.skip(str(missing), allow_module_level=True)

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def renderer() -> AsyncIterator[Renderer]:
    async with Renderer(2) as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pages(renderer: Renderer) -> list[StoredPage]:
    executor = ThreadPoolExecutor(1)
    made = [
        await make_page(renderer, executor, 4, number, PageWishes(styles=(style,)))
        for number, style in enumerate(STYLES)
    ]
    executor.shutdown()
    found: list[SyntheticPage] = [item.page for item in made if item.page is not None]
    assert all(not page.tests_dropped for page in found)
    return [stored(page, keep_pdf=True) for page in found]


async def test_each_style_gives_a_page_with_enough_tests(pages: list[StoredPage]) -> None:
    assert [page.facts["style"] for page in pages] == list(STYLES)
    for page in pages:
        assert len(page.tests) >= 10
        assert page.extra["pdf"].startswith(b"%PDF")
        assert len(page.lines) > 5


async def test_the_truth_passes_and_each_variant_fails_the_right_kinds(
    pages: list[StoredPage],
) -> None:
    failed = {
        name: [failed_kinds(make(page), page.tests) for page in pages]
        for name, make in VARIANTS.items()
    }
    assert not any(failed["truth"])
    for name, counts in failed.items():
        assert {kind for count in counts for kind in count} <= ALLOWED[name]
    assert all(failed["shuffled"])
    assert all(failed["truncated"])
    leaks = [any(test["type"] == "absent" for test in page.tests) for page in pages]
    assert [bool(count) for count in failed["leaking"]] == leaks


async def test_the_lines_are_what_the_page_prints(pages: list[StoredPage]) -> None:
    for page in pages:
        read = "".join("".join(line.text.split()) for line in page.lines)
        texts = [t["text"] for t in page.tests if t["type"] == "absent"]
        assert all("".join(text.split()) in read for text in texts)


async def test_text_that_overlaps_or_leaves_the_sheet_is_seen(renderer: Renderer) -> None:
    over = "<p style='position:absolute;top:10px'>{}</p>"
    both = over.format("One text on a place") + over.format("another on the same place")
    assert "overlap" in (await renderer.print(both, 400, 300)).faults
    beside = "<p style='white-space:nowrap'>" + "very long " * 40 + "</p>"
    assert "off the sheet" in (await renderer.print(beside, 400, 300)).faults
    below = "<p>line</p>" * 60
    assert "longer than the sheet" in (await renderer.print(below, 400, 300)).faults
    assert (await renderer.print("<p>A short text.</p>", 400, 300)).faults == ()


async def test_a_formula_that_katex_refuses_is_seen(renderer: Renderer) -> None:
    printed = await renderer.print("<p>a <span class='math'>\\frac{1</span></p>", 400, 300)
    assert printed.faults == ("a formula that cannot be set",)
    assert "\\frac{1" in printed.body


async def test_nothing_of_a_page_is_run(renderer: Renderer) -> None:
    html = "<p>text<script>document.body.innerHTML='run'</script>"
    html += "<img src='x' onerror=\"document.body.innerHTML='run'\" alt='an image'></p>"
    assert "text" in (await renderer.print(html, 400, 300)).body


async def test_what_does_not_fit_the_columns_is_cut_with_its_footnote(renderer: Renderer) -> None:
    css = "body{margin:0}.flow{width:400px;height:200px;column-count:2;column-fill:auto}"
    filler = "<p>" + "Some words that fill a column. " * 30 + "</p>"
    html = f"<style>{css}</style><main class='flow'><p>First.</p>{filler}"
    html += "<p>Last.<sup class='mark' data-note='1'>1</sup></p></main>"
    html += "<div class='notes'><p class='note' data-note='1'>A note.</p></div>"
    body = (await renderer.print(html, 400, 300)).body
    assert "First." in body
    assert "Some words" in body
    assert "Last." not in body
    assert "A note." not in body


async def test_a_series_goes_on_behind_its_whole_shards(tmp_path: Path) -> None:
    wishes = PageWishes(styles=("form",), degraded_share=0.0)
    series = Series(tmp_path, 3, 9, wishes, shard_size=2)
    counts = await make_series(series)
    first, second = (tmp_path / f"shard-0000{number}.tar" for number in range(2))
    before = first.read_bytes(), second.read_bytes()
    second.unlink()
    first_time = first.stat().st_mtime_ns
    await make_series(series)
    names = [page.name for page in read_shards(tmp_path)]
    assert first.stat().st_mtime_ns == first_time
    assert [page.record[TEXT] for page in read_shards(tmp_path)]
    assert (names[0], len(names), counts.pages["all"]) == ("page_9_0_0", 3, 3)
    assert _texts(before[1]) == _texts(second.read_bytes())
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["pages"]["style form"] == 3
    assert [shard["file"] for shard in manifest["shards"]] == [first.name, second.name]
    with Image.open(tmp_path / "contact.jpg") as sheet:
        assert sheet.width > 1000
    with pytest.raises(OtherSeries, match="seed"):
        await make_series(Series(tmp_path, 3, 10, wishes, shard_size=2))


def _texts(shard: bytes) -> list[bytes]:
    """The texts of a shard; a picture's noise is the browser's affair."""
    import io
    import tarfile

    with tarfile.open(fileobj=io.BytesIO(shard)) as archive:
        files = [archive.extractfile(entry) for entry in archive if entry.name.endswith(".md")]
        return [file.read() for file in files if file is not None]
