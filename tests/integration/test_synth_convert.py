"""The three-step converter and its endpoint, against a real HTTP server."""

import asyncio
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner

from extraction.markdown.front_matter import TEXT
from trainer.synth.convert.endpoint import (
    BudgetSpent,
    EndpointFailed,
    EndpointSettings,
    NoEndpoint,
    VisionEndpoint,
)
from trainer.synth.convert.run import Conversion, convert_pages
from trainer.synth.convert.steps import html_in, prepared, rebuild
from trainer.synth.pages.renderer import NoBrowser, Renderer, find_browser
from trainer.synth.pages.shards import read_shards
from trainer.synth.pages.variants import failed_kinds
from trainer.synth_commands import app

HTML = """```html
<!doctype html><html lang="fr"><head>
<style>body {{ font: 16px serif; padding: 40px; }}</style></head>
<body><header>Journal {mark}</header><h1>Le titre de la page</h1>
<p>Une première phrase assez longue pour un test. On a \\( x &lt; 3 \\) partout.</p>
<p>Une seconde phrase assez longue pour un autre test.</p>
<table><tr><th>An</th><th>Nord</th></tr><tr><td>1990</td><td>12</td></tr></table>
<p>\\[ a + b = c \\]</p><img alt="Un dessin" width="90" height="60"></body></html>
```"""


class FakeModel(ThreadingHTTPServer):
    """Answers by how many pictures it is shown; keeps what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[dict[str, Any]] = []
        self.refusals: list[tuple[int, dict[str, str]]] = []
        self.bad_html = False

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class _Handler(BaseHTTPRequestHandler):
    server: FakeModel

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        body["authorization"] = self.headers.get("Authorization")
        self.server.asked.append(body)
        if self.server.refusals:
            status, headers = self.server.refusals.pop(0)
            self._send(status, {"error": "later"}, headers)
            return
        content = body["messages"][0]["content"]
        pictures = sum(part["type"] == "image_url" for part in content)
        says = "One column, a table, a figure."
        if "Rebuild this page" in content[0]["text"]:
            says = "I cannot." if self.server.bad_html else HTML.format(mark="premier")
        elif pictures == 2:
            says = HTML.format(mark="corrigé")
        choice = {"message": {"role": "assistant", "content": says}, "finish_reason": "stop"}
        self._send(200, {"choices": [choice], "usage": {"total_tokens": 100}}, {})

    def _send(self, status: int, content: dict[str, Any], headers: dict[str, str]) -> None:
        payload = json.dumps(content).encode()
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(payload))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 the base class's name
        pass


@pytest.fixture
def server() -> Iterator[FakeModel]:
    model = FakeModel()
    thread = threading.Thread(target=model.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield model
    model.shutdown()
    thread.join()
    model.server_close()


def endpoint(server: FakeModel, folder: Path, budget: int = 1000) -> VisionEndpoint:
    settings = EndpointSettings(server.address, "eyes", "secret")
    return VisionEndpoint(settings, folder, budget, first_pause_seconds=0.01)


async def test_an_answer_is_asked_for_once(server: FakeModel, tmp_path: Path) -> None:
    for _ in range(2):
        async with endpoint(server, tmp_path) as asked:
            answer = await asked.ask("Hello", [b"\x89PNG"])
    assert (answer.text, answer.cached) == ("One column, a table, a figure.", True)
    (body,) = server.asked
    assert body["model"] == "eyes"
    assert body["authorization"] == "Bearer secret"
    assert body["messages"][0]["content"][1]["image_url"]["url"].startswith("data:image/png;base64")


async def test_it_tries_again_what_may_pass(server: FakeModel, tmp_path: Path) -> None:
    server.refusals = [(500, {}), (429, {"Retry-After": "0"})]
    async with endpoint(server, tmp_path) as asked:
        assert (await asked.ask("Hello")).is_whole
        assert asked.request_count == 3
    server.refusals = [(503, {})] * 9
    async with endpoint(server, tmp_path) as asked:
        with pytest.raises(EndpointFailed, match=r"503.*5 times"):
            await asked.ask("Another")


async def test_it_does_not_try_again_what_is_refused(server: FakeModel, tmp_path: Path) -> None:
    server.refusals = [(401, {})]
    async with endpoint(server, tmp_path) as asked:
        with pytest.raises(EndpointFailed, match="401"):
            await asked.ask("Hello")
        assert asked.request_count == 1


async def test_nobody_listening_is_said_plainly(tmp_path: Path) -> None:
    settings = EndpointSettings("http://127.0.0.1:9/v1", "eyes")
    async with VisionEndpoint(settings, tmp_path, 10, first_pause_seconds=0.01) as asked:
        with pytest.raises(EndpointFailed, match=r"127\.0\.0\.1:9"):
            await asked.ask("Hello")


async def test_a_spent_budget_ends_before_the_next_question(
    server: FakeModel, tmp_path: Path
) -> None:
    async with endpoint(server, tmp_path, budget=150) as asked:
        await asked.ask("One")
        await asked.ask("Two")
        with pytest.raises(BudgetSpent, match="150"):
            await asked.ask("Three")
        assert (await asked.ask("One")).cached
    assert len(server.asked) == 2


def test_without_an_endpoint_the_command_says_what_to_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DOCLOOP_SYNTH_ENDPOINT", raising=False)
    monkeypatch.delenv("DOCLOOP_SYNTH_MODEL", raising=False)
    with pytest.raises(NoEndpoint, match="DOCLOOP_SYNTH_MODEL"):
        EndpointSettings.of("http://localhost/v1")
    found = CliRunner().invoke(app, ["convert", str(tmp_path), "--out", str(tmp_path / "out")])
    assert found.exit_code == 2
    assert "DOCLOOP_SYNTH_ENDPOINT" in found.output


def test_html_is_found_in_an_answer_and_its_formulas_are_marked() -> None:
    assert html_in("Sure:\n```html\n<html><p>a</p></html>\n```\nDone.") == "<html><p>a</p></html>"
    assert html_in("<!DOCTYPE html><p>a</p>") == "<!DOCTYPE html><p>a</p>"
    assert html_in("I cannot do that.") is None
    marked = prepared("<p>\\( a &lt; b \\) and \\[ c \\]</p>")
    assert '<span class="math"> a &lt; b </span>' in marked
    assert '<div class="math display"> c </div>' in marked


@pytest.fixture
def pdf(tmp_path: Path) -> Path:
    path = tmp_path / "letter.pdf"
    Image.new("RGB", (800, 1100), "white").save(path)
    return path


async def test_a_page_is_rebuilt_in_three_steps(
    server: FakeModel, pdf: Path, tmp_path: Path
) -> None:
    _browser_or_skip()
    settings = EndpointSettings(server.address, "eyes")
    out = tmp_path / "out"
    outcome = await convert_pages(Conversion([pdf], out, settings, budget=10_000))
    assert (outcome.pages, outcome.refined, outcome.tokens) == (1, 1, 300)
    (page,) = read_shards(out)
    assert page.record["primary_language"] == "fr"
    assert "corrigé" not in page.record[TEXT]
    assert "\\( x < 3 \\)" in page.record[TEXT]
    assert "![Un dessin](page_" in page.record[TEXT]
    assert "Journal corrigé" in {test.get("text") for test in page.tests}
    assert {test["type"] for test in page.tests} >= {"present", "order", "absent", "math"}
    assert not failed_kinds(page.record[TEXT], page.tests)
    assert page.facts["source"] == "letter"
    again = await convert_pages(Conversion([pdf], out, settings, budget=0))
    assert (again.pages, again.tokens, len(server.asked)) == (1, 0, 3)


async def test_a_spent_budget_is_told_and_ends_the_run(
    server: FakeModel, pdf: Path, tmp_path: Path
) -> None:
    _browser_or_skip()
    settings = EndpointSettings(server.address, "eyes")
    outcome = await convert_pages(Conversion([pdf], tmp_path / "b", settings, budget=50))
    assert outcome.budget_spent
    assert outcome.pages == 0
    assert json.loads((tmp_path / "b" / "manifest.json").read_text())["budget_spent"] is True


async def test_a_model_that_gives_no_html_gives_no_page(server: FakeModel, tmp_path: Path) -> None:
    server.bad_html = True
    async with endpoint(server, tmp_path) as asked:
        closed = Renderer()
        assert await rebuild(asked, closed, b"picture", 600, 800, seed=0) is None


async def test_a_refused_first_page_ends_the_run(
    server: FakeModel, pdf: Path, tmp_path: Path
) -> None:
    _browser_or_skip()
    server.refusals = [(401, {})]
    settings = EndpointSettings(server.address, "eyes")
    with pytest.raises(EndpointFailed, match="401"):
        await asyncio.wait_for(
            convert_pages(Conversion([pdf], tmp_path / "c", settings, budget=10_000)), 60
        )


def _browser_or_skip() -> None:
    try:
        find_browser()
    except NoBrowser as missing:
        pytest.skip(str(missing))
