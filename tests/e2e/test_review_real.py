"""What a clerk does with the model that ships: `docloop serve` on build/model, and Chromium.

The pages are looked at in detail with a scripted model in `test_review.py`. Here nothing is
scripted: the receipts are generated, read by the line reader and the model, and reviewed. Without a
Chromium or without build/model these tests are skipped.
"""

import asyncio
import io
import json
import random
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect
from running_service import KEY, RunningService

from extraction.normalize import parse_money
from tests.factories_browser import Seat
from trainer.synth.document import SyntheticDocument
from trainer.synth.receipts import make_receipt

pytestmark = pytest.mark.timeout(600)

MODEL = Path(__file__).parents[2] / "build" / "model"
READ_MS = 300_000  # a receipt of 300 tokens and a slip of 30, on two cores that others use too
SLIP = {
    "type": "object",
    "properties": {
        "merchant_name": {"type": "string"},
        "total": {"type": "number", "x-kind": "money"},
    },
}
AMOUNT = re.compile(r"\d+[.,]\d\d")


@pytest.fixture(scope="module")
def service(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    del browser  # only first: without one, no model has to start
    if not (MODEL / "docloop.json").exists():
        pytest.skip("build/model is missing: run `make assemble`")
    # Of two threads in step, each waits for the other where other work shares the cores.
    alone = {"DOCLOOP_ENGINE_THREADS": "1", "DOCLOOP_OCR_THREADS": "1"}
    service = RunningService(tmp_path_factory.mktemp("review-real") / "data", MODEL, alone)
    service.start()
    try:
        # On a thread: playwright's own loop runs on this one.
        with ThreadPoolExecutor(1) as thread:
            thread.submit(asyncio.run, service.wait_ready()).result()
        yield service
    finally:
        service.stop()


def receipts(folder: Path) -> list[tuple[Path, SyntheticDocument]]:
    """The two shortest of a few, with seeds that training never used, as files of a clerk."""
    made = [make_receipt(random.Random(f"clerk/{number}")) for number in range(10)]
    whole = [one for one in made if one.record.get("total")]
    whole = sorted(whole, key=lambda one: sum(len(line.text) for line in one.lines))[:2]
    paths = [folder / f"receipt-{number}.png" for number in range(len(whole))]
    for path, document in zip(paths, whole, strict=True):
        buffer = io.BytesIO()
        document.image.save(buffer, "PNG")
        path.write_bytes(buffer.getvalue())
    return list(zip(paths, whole, strict=True))


def stored(service: RunningService, prediction: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A prediction and what was said of it, as the API has them."""
    headers = {"authorization": f"Bearer {KEY}"}
    with httpx.Client(base_url=service.url, headers=headers, trust_env=False) as client:
        answer = client.get(f"/predictions/{prediction}").json()
        said = client.get(f"/feedback/{prediction}").json()["corrections"]
    return answer, said


def press_until(page: Page, key: str, is_there: str, most: int = 60) -> None:
    """A key, until what has the focus is the one that is wanted."""
    for _ in range(most):
        page.keyboard.press(key)
        if page.evaluate(is_there):
            return
    raise AssertionError(f"{key} never leads to {is_there}")


def opened(page: Page) -> str:
    """The prediction that is under review, once the page has it ready."""
    page.wait_for_url(re.compile("/review/"))
    page.locator("body[data-ready]").wait_for()
    return page.url.rpartition("/")[2].partition("?")[0]


def test_a_clerk_reads_accepts_and_mends(
    browser: Browser, service: RunningService, tmp_path: Path
) -> None:
    files = receipts(tmp_path)
    context = browser.new_context(viewport={"width": 1280, "height": 860})
    context.set_default_timeout(20_000)
    seat = Seat(context, service, KEY, "Ann")
    headers = {"authorization": f"Bearer {KEY}"}
    httpx.put(f"{service.url}/document-types/slip", headers=headers, json=SLIP).raise_for_status()
    page = seat.open("/upload")
    for (path, _), read_as in zip(files, ("receipt", "slip"), strict=True):
        page.get_by_label("Read as").select_option(read_as)
        page.locator("#file").set_input_files(path)
    expect(page.get_by_role("link", name="Review")).to_have_count(2, timeout=READ_MS)

    # The receipt by keyboard alone: from the list to the document, and accepted as it stands.
    page.locator("#files li", has_text=files[0][0].name).get_by_role("link").evaluate(
        "link => { link.id = 'wanted'; }"
    )
    press_until(page, "Tab", "document.activeElement.id === 'wanted'")
    page.keyboard.press("Enter")
    first = opened(page)
    shown = page.get_by_label("Total", exact=True).input_value()
    page.keyboard.press("Control+Enter")
    page.wait_for_url(lambda url: first not in url)
    answer, said = stored(service, first)
    assert [(one["verdict"], one["reviewer"]) for one in said] == [("correct", "Ann")]
    assert answer["record"]["total"] == shown

    # The other one comes by itself. Its total is another amount of the page: a click on its line.
    second = opened(page)
    assert second != first
    answer, _ = stored(service, second)
    lines = json.loads(page.locator("#pages").text_content() or "[]")[0]["lines"]
    total = page.locator('.field[data-path="total"]')
    read = parse_money(str(answer["record"]["total"]))
    index = next(
        index
        for index, line in enumerate(lines)
        if AMOUNT.fullmatch(line["text"]) and parse_money(line["text"]) != read
    )
    total.locator(".value").focus()
    page.locator("rect.line").nth(index).click()
    expect(total.locator(".value")).to_have_value(lines[index]["text"])
    expect(total).to_contain_text("was")
    page.keyboard.press("Control+Enter")
    page.wait_for_url(lambda url: second not in url)
    answer, (correction,) = stored(service, second)
    assert correction["verdict"] == "corrected"
    assert correction["reviewer"] == "Ann"
    assert set(correction["record"]) == {"total"}
    assert parse_money(str(correction["record"]["total"])) == parse_money(lines[index]["text"])
    assert correction["confirms_rest"] is True
    assert answer["corrected_record"] == {**answer["record"], **correction["record"]}
    assert parse_money(str(answer["record"]["total"])) == read
    # Nothing is left, and the page says so.
    expect(page.get_by_role("main")).to_contain_text("No document waits")
    context.close()
    assert seat.faults == []
