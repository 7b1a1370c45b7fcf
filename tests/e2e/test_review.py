"""What a clerk does, in a real browser on the real service: headless Chromium through playwright.

Where no Chromium is found (`tests.factories_browser`) these tests are skipped. The model is
scripted and the papers are generated.
"""

import contextlib
import json
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from playwright.sync_api import Browser, Error, expect
from sqlalchemy import delete

from db.embedded import start_postgres
from db.migrate import upgrade
from db.tables import ReviewLease
from tests.factories_api import KEY
from tests.factories_browser import Seat, middle_of, violations
from tests.factories_pages import CLERK_KEY, REGION, SECOND_KEY, Desk, desk, fill, make_papers

WIDTHS = ((390, 844), (1024, 768), (1600, 1000))
PLACES = (
    *("/", "/upload", "/held", "/versions", "/versions/docloop-2a41be90"),
    *("/versions/compare", "/types", "/types/receipt", "/types/note", "/types/-/new", "/docs"),
    *("/versions/never", "/review/{0}", "/review/{1}"),
)
NOTE = {"type": "object", "properties": {"number": {"type": "string"}}}


@pytest.fixture(scope="module")
def work(browser: Browser) -> Iterator[Desk]:
    """The service with receipts; each test takes the next one."""
    with tempfile.TemporaryDirectory(prefix="docloop-pages-") as name:
        folder = Path(name)
        server = start_postgres(folder / "postgres", {"fsync": "off", "full_page_writes": "off"})
        try:
            with psycopg.connect(server.url_of("postgres"), autocommit=True) as connection:
                connection.execute("CREATE DATABASE pages")
            upgrade(server.url_of("pages"))
            with desk(server.url_of("pages"), folder / "data", make_papers(10)) as made:
                fill(made)
                with made.client() as client:
                    assert client.put("/document-types/note", json=NOTE).is_success
                yield made
        finally:
            server.stop()


Sit = Callable[..., Seat]


@pytest.fixture
def sit(browser: Browser, work: Desk) -> Iterator[Sit]:
    """Makes seats, as many as a test wants."""
    seats: list[Seat] = []

    def take(name: str = "Ann", key: str = KEY, **options: Any) -> Seat:
        context = browser.new_context(viewport={"width": 1280, "height": 860}, **options)
        context.set_default_timeout(15_000)
        seats.append(Seat(context, work, key, name))
        return seats[-1]

    yield take
    faults = [fault for seat in seats for fault in seat.faults]
    for seat in seats:
        # Nothing may be under way: a context that closes in the middle of a navigation can hang.
        with contextlib.suppress(Error):
            seat.page.goto("about:blank")
        seat.context.close()
    assert faults == []


def until_said(work: Desk, prediction_id: str, count: int = 1) -> dict[str, Any]:
    """The last word on a prediction, when there are so many."""
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        said = work.said_of(prediction_id)
        if len(said) >= count:
            return said[-1]
        time.sleep(0.05)
    raise AssertionError("nothing was stored")


def test_upload_then_review_by_keyboard_alone(work: Desk, sit: Sit, tmp_path: Path) -> None:
    seat = sit("Cleo", CLERK_KEY)
    page = seat.open("/upload")
    paper = make_papers(1, seed=99)[0]
    work.papers.append(paper)
    good, bad = tmp_path / "receipt.png", tmp_path / "notes.txt"
    good.write_bytes(paper.content)
    bad.write_text("no document")
    page.get_by_label("Read as").select_option("receipt")
    page.locator("#file").set_input_files([good, bad])
    expect(page.get_by_role("alert")).to_contain_text("JPEG, PNG")
    with page.expect_navigation():
        page.get_by_role("link", name="Review").click()
    page.locator("body[data-ready]").wait_for()
    began = time.monotonic()
    prediction = page.url.rpartition("/")[2]
    # The hands stay on the keyboard: from doubt to doubt, the total typed anew, then accepted.
    total = page.get_by_label("Total", exact=True)
    expect(total).to_be_focused()
    page.keyboard.press("Control+A")
    page.keyboard.type(str(paper.document.record["total"]))
    for _ in range(30):
        page.keyboard.press("Enter")
        if page.evaluate("document.activeElement.id") == "accept":
            break
    expect(page.locator("#accept")).to_have_text(re.compile("Accept with 1 correction"))
    page.keyboard.press("Enter")
    said = until_said(work, prediction)
    assert time.monotonic() - began < 15
    assert (said["verdict"], said["reviewer"]) == ("corrected", "Cleo")
    # What she left alone, she has accepted with it.
    assert (set(said["record"]), said["confirms_rest"]) == ({"total"}, True)
    page.wait_for_url(lambda url: prediction not in url)


def test_a_document_that_is_right_takes_one_key(work: Desk, sit: Sit) -> None:
    seat = sit()
    page = seat.review(work.predictions[1])
    began = time.monotonic()
    page.keyboard.press("Control+Enter")
    said = until_said(work, work.predictions[1])
    assert said["verdict"] == "correct"
    assert time.monotonic() - began < 15
    page.wait_for_url(lambda url: work.predictions[1] not in url)
    page.locator("body[data-ready]").wait_for()
    expect(page.get_by_role("status").filter(has_text="Accepted")).to_be_visible()
    # Undo leads back, where another word takes the place of the first.
    page.get_by_role("button", name="Undo").last.click()
    page.wait_for_url(re.compile(work.predictions[1]))
    expect(page.locator("#notices")).to_contain_text("Accepted by Ann")


def test_a_total_is_mended_by_clicking_its_line(work: Desk, sit: Sit) -> None:
    paper, prediction = work.papers[0], work.predictions[0]
    seat = sit()
    page = seat.review(prediction)
    wanted = str(paper.document.record["total"])
    field = page.locator('.field[data-path="total"]')
    expect(field).to_have_class(re.compile("doubtful"))
    field.get_by_label("Total", exact=True).focus()
    lines = json.loads(page.locator("#pages").text_content() or "[]")[0]["lines"]
    index = next(
        index for index, line in enumerate(lines) if wanted.rsplit(maxsplit=1)[-1] in line["text"]
    )
    page.locator("rect.line").nth(index).click()
    value = field.locator(".value")
    expect(value).not_to_have_value(str(paper.answer["total"]))
    expect(field).to_contain_text("was")
    typed = value.input_value()
    # Undone, done again by the list of lines, and accepted.
    page.keyboard.press("Control+Z")
    expect(value).not_to_have_value(typed)
    value.focus()
    page.keyboard.press("Alt+l")
    page.get_by_label("Lines that hold").fill(wanted.rsplit(maxsplit=1)[-1])
    page.keyboard.press("Enter")
    expect(value).to_have_value(typed)
    page.get_by_role("button", name="Accept with 1 correction").click()
    said = until_said(work, prediction)
    assert said["verdict"] == "corrected"
    assert set(said["record"]) == {"total"}
    page.wait_for_url(lambda url: prediction not in url)


def test_a_box_that_is_drawn_is_read_again(work: Desk, sit: Sit) -> None:
    page = sit().review(work.predictions[2])
    value = page.locator('.field[data-path="total"] .value')
    value.focus()
    draw = page.get_by_role("button", name="Read a box")
    draw.click()
    x, y = middle_of(page)
    page.mouse.move(x - 50, y - 20)
    page.mouse.down()
    page.mouse.move(x + 50, y + 20, steps=4)
    page.mouse.up()
    expect(value).to_have_value(REGION)
    # Two clicks do the same, and a turned page changes nothing.
    page.keyboard.press("Control+Z")
    expect(value).not_to_have_value(REGION)
    page.get_by_role("button", name="Turn by a quarter").click()
    value.focus()
    draw.click()
    x, y = middle_of(page)
    page.mouse.click(x - 50, y - 20)
    expect(page.locator("#tip")).to_contain_text("opposite corner")
    page.mouse.click(x + 50, y + 20)
    expect(value).to_have_value(REGION)
    spot = page.locator("rect.spot.active").bounding_box()
    assert spot is not None
    found = [spot["x"], spot["y"], spot["width"], spot["height"]]
    assert found == pytest.approx([x - 50, y - 20, 100, 40], abs=4)


def test_what_the_server_refuses_is_said_at_the_field(work: Desk, sit: Sit) -> None:
    page = sit().review(work.predictions[2])
    page.locator('.field[data-path="transaction_date"] .value').fill("the day after")
    cell = page.locator('.table[data-path="items"] td[data-column="total_price"] .value').first
    cell.fill("cheap")
    page.keyboard.press("Control+Enter")
    date = page.locator('.field[data-path="transaction_date"]')
    expect(date.locator(".refusal")).to_contain_text("a date such as 2018-12-25 is expected")
    expect(date.locator(".value")).to_have_attribute("aria-invalid", "true")
    expect(page.locator('.table[data-path="items"] .said')).to_contain_text("decimal string")
    assert work.said_of(work.predictions[2]) == []


def test_line_items_are_added_removed_and_undone(work: Desk, sit: Sit) -> None:
    prediction = work.predictions[2]
    page = sit().review(prediction)
    table = page.locator('.table[data-path="items"]')
    rows = table.locator("tbody tr")
    before = rows.count()
    table.get_by_role("button", name="Add a line").click()
    page.keyboard.type("Carrier bag")
    table.get_by_role("button", name="Remove this line").first.click()
    expect(rows).to_have_count(before)
    page.keyboard.press("Escape")
    page.keyboard.press("u")
    expect(rows).to_have_count(before + 1)
    only = page.get_by_role("button", name="Save only this")
    expect(only).to_be_visible()
    page.keyboard.press("Control+Shift+Enter")
    said = until_said(work, prediction)
    assert said["confirms_rest"] is False
    assert len(said["record"]["items"]) == before + 1
    assert said["record"]["items"][-1]["description"] == "Carrier bag"
    page.wait_for_url(lambda url: prediction not in url)


def test_two_browsers_on_one_document(work: Desk, sit: Sit) -> None:
    prediction = work.predictions[4]
    work.run(lambda session: session.execute(delete(ReviewLease)))  # of tests before this one
    ann, ben = sit("Ann"), sit("Ben", SECOND_KEY)
    first = ann.review(prediction)
    expect(first.locator("[data-notice=lease]")).to_have_count(0)
    second = ben.review(prediction)
    expect(second.locator("[data-notice=lease]")).to_contain_text("Ann is reviewing")
    first.locator('.field[data-path="total"] .value').fill("11.11")
    second.locator('.field[data-path="total"] .value').fill("22.22")
    second.locator('.field[data-path="merchant_name"] .value').fill("BEN'S SHOP")
    first.keyboard.press("Control+Enter")
    until_said(work, prediction)
    second.keyboard.press("Control+Enter")
    clash = second.get_by_role("dialog", name="Two of you worked on this document")
    expect(clash).to_contain_text("Ann saved")
    for text in ("11.11", "22.22", "BEN'S SHOP"):
        expect(clash).to_contain_text(text)
    assert len(work.said_of(prediction)) == 1
    clash.locator("tr", has_text="22.22").get_by_role("radio").first.check()
    clash.get_by_role("button", name="Save what is chosen").click()
    said = until_said(work, prediction, 2)
    assert said["record"] == {"total": "11.11", "merchant_name": "BEN'S SHOP"}
    assert said["reviewer"] == "Ben"
    second.wait_for_url(lambda url: prediction not in url)


def test_a_dropped_connection_and_a_reload_lose_nothing(work: Desk, sit: Sit) -> None:
    prediction = work.predictions[6]
    seat = sit()
    page = seat.review(prediction)
    page.locator('.field[data-path="total"] .value').fill("33.33")
    page.reload()
    page.locator("body[data-ready]").wait_for()
    expect(page.locator('.field[data-path="total"] .value')).to_have_value("33.33")
    expect(page.locator("[data-notice=draft]")).to_contain_text("is back")
    seat.context.set_offline(True)
    page.keyboard.press("Control+Enter")
    expect(page.locator("[data-notice=offline]")).to_contain_text("No connection")
    assert work.said_of(prediction) == []
    seat.context.set_offline(False)
    assert until_said(work, prediction)["record"] == {"total": "33.33"}
    page.wait_for_url(lambda url: prediction not in url)
    again = seat.review(prediction)
    expect(again.locator("[data-notice=draft]")).to_have_count(0)
    seat.faults[:] = [fault for fault in seat.faults if "ERR_INTERNET" not in fault]


def test_a_second_person_decides_on_what_is_held(work: Desk, sit: Sit) -> None:
    own = sit("Ben", SECOND_KEY).open("/held")
    expect(own.locator("article")).to_contain_text("came with your key")
    page = sit("Ann").open("/held")
    card = page.locator("article")
    expect(card).to_contain_text("nowhere on the page")
    expect(card).to_contain_text("999.00")
    card.get_by_label("Comment").fill("checked with the shop")
    card.get_by_role("button", name="Reject").click()
    expect(page.locator("article")).to_have_count(0)
    page.get_by_role("link", name="Rejected").click()
    expect(page.locator("article")).to_contain_text("checked with the shop")


def test_a_version_is_promoted_and_rolled_back(work: Desk, sit: Sit) -> None:
    page = sit().open("/versions")
    page.get_by_role("button", name="Promote docloop-3b9e0f11").click()
    page.get_by_role("dialog").get_by_role("button", name="Promote").click()
    champion = page.get_by_label("Champion", exact=True)
    expect(champion).to_contain_text("generation 4")
    expect(champion).to_contain_text("docloop-3b9e0f11")
    page.get_by_role("button", name="Roll back to fake-1").click()
    page.get_by_role("dialog").get_by_role("button", name="Roll back").click()
    expect(champion).to_contain_text("generation 5")
    clerk = sit("Cleo", CLERK_KEY).open("/versions")
    expect(clerk.get_by_role("button", name=re.compile("Promote"))).to_have_count(0)


def test_a_schema_is_checked_as_it_is_typed(work: Desk, sit: Sit) -> None:
    page = sit().open("/types/-/new")
    said = page.locator("#schema-said")
    expect(said).to_contain_text("It is accepted")
    schema = page.get_by_label("JSON Schema")
    schema.fill('{"type": "object",\n "properties": {"a": {"type": "string", "pattern": "x"}}}')
    expect(said).to_contain_text("/properties/a/pattern")
    expect(page.get_by_role("button", name="Save")).to_be_disabled()
    schema.fill(
        '{"type": "object", "properties": {"paid_on": {"type": "string", "format": "date"}}}'
    )
    page.get_by_label("Sample record as JSON").fill('{"paid_on": "soon"}')
    expect(page.locator("#sample-said")).to_contain_text("a date such as")
    page.get_by_label("Sample record as JSON").fill('{"paid_on": "25/12/2018"}')
    expect(page.locator("#sample-said")).to_contain_text("2018-12-25")
    page.get_by_label("Name").fill("voucher")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#version")).to_have_text("Version 1")
    with work.client() as client:
        assert client.get("/document-types/voucher").json()["fields"] == ["paid_on"]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_page_has_a_fault_that_axe_sees(work: Desk, sit: Sit, theme: str) -> None:
    """WCAG 2.2 A and AA on every page: light at a desk, dark on a phone; none wider than it."""
    looked_at = WIDTHS[-1][0] if theme == "light" else WIDTHS[0][0]
    seat = sit(color_scheme=theme, reduced_motion="reduce")
    found: dict[str, list[str]] = {}
    for path in PLACES:
        page = seat.open(path.format(*work.predictions[7:]))
        for width, height in WIDTHS:
            page.set_viewport_size({"width": width, "height": height})
            wide = page.evaluate("document.documentElement.scrollWidth") > width
            faults = ["wider than the window"] if wide else []
            faults += violations(page) if width == looked_at else []
            if faults:
                found[f"{path} {width}"] = faults
    page, dialogs = seat.review(work.predictions[7]), dict[str, list[str]]()
    for name in ("Keyboard", "Record as JSON"):
        page.get_by_role("button", name=name).click()
        dialogs[name] = violations(page)
        page.keyboard.press("Escape")
    seat.page.get_by_role("button", name="Sign out").click()
    dialogs["sign-in"] = violations(seat.page)
    assert found | {name: faults for name, faults in dialogs.items() if faults} == {}
