"""Documents, graphs and plain texts through the whole app, on a real PostgreSQL."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from pydantic import SecretStr
from sqlalchemy import select
from typer.testing import CliRunner

from api.app import create_app
from api.cli import app as command_line
from api.evaluate_one import Asking, Reader
from api.settings import Settings
from db.queries.documents import list_pages
from db.tables import Document, Evaluation, Prediction
from extraction.engine import Prompt
from extraction.markdown.front_matter import write_page
from tests.factories_api import (
    KEY,
    TRAITS,
    GivenLines,
    Serving,
    form,
    make_extractor,
    pages_of,
    serving,
)
from tests.factories_documents import pdf_of_images
from tests.fakes import FakeEngine
from tests.probes import problem_in, serving_in_thread

TEXT = "Ada Lovelace was born in London.\nShe wrote to Charles Babbage."
TYPES = {"entity_types": ["person", "place"], "relation_types": ["born in", "wrote to"]}
GRAPH = {
    "entities": [
        {"id": "e1", "text": "Ada Lovelace", "type": "person"},
        {"id": "e2", "text": "London", "type": "place"},
    ],
    "relations": [{"head": "e1", "type": "born in", "tail": "e2"}],
}
WRITES = replace(TRAITS, types=frozenset({"document", "graph"}))
LINES = ("Report of the year", "It was a good year for the oats of the north.")


def answer(prompt: Prompt) -> str:
    """A graph where one is asked for, else the page as it was shown."""
    shown, _, asked = prompt.messages[-1].text.rpartition("\n\n")
    if asked.startswith("Entity types"):
        return json.dumps(GRAPH, separators=(",", ":"))
    if asked.startswith("receipt"):
        return '{"total":"RM9.00"}'
    facts = {"primary_language": "en", "is_rotation_valid": True, "rotation_correction": 0}
    return write_page({**facts, "is_table": False, "is_diagram": False, "natural_text": shown})


@pytest.fixture
async def up(database_url: str, tmp_path: Path) -> AsyncIterator[Serving]:
    engine = FakeEngine(answer)
    extractor = make_extractor(engine, GivenLines(LINES), traits=WRITES)
    async with serving(database_url, tmp_path, engine=engine, extractor=extractor) as up:
        yield up


def graph_of_text(**more: Any) -> dict[str, Any]:
    return {"json": {"text": TEXT, "document_type": "graph", **TYPES, **more}}


async def test_a_pdf_becomes_one_document_with_anchors(up: Serving) -> None:
    found = await up.extract(
        **form(pdf_of_images(pages_of("one", "two")), document_type="document")
    )
    assert found["document_type"] == "document"
    pages = found["record"]["pages"]
    assert [page["natural_text"] for page in pages] == ["\n\n".join(LINES)] * 2
    assert len(up.engine.prompts) == 2
    lines = found["markdown"].split("\n")
    assert lines[:3] == ["---", "primary_language: en", "is_rotation_valid: True"]
    assert '<a id="page-1"></a>' in lines
    assert '<a id="page-2"></a>' in lines
    assert found["fields"]["pages.1.natural_text"]["evidence"]["page"] == 1
    assert found["warnings"] == []
    assert len(found["pages"]) == 2
    read = await up.client.get(f"/predictions/{found['id']}")
    assert read.json() == found

    corrected = [{**pages[0], "natural_text": "# Report"}, pages[1]]
    response = await up.client.post(
        "/feedback",
        json={
            "prediction_id": found["id"],
            "verdict": "corrected",
            "record": {"pages": corrected},
        },
    )
    assert response.status_code == 201, response.text
    read = (await up.client.get(f"/predictions/{found['id']}")).json()
    assert read["corrected_record"]["pages"] == corrected
    assert '<a id="page-1"></a>\n\n# Report\n\n<a id="page-2"></a>' in read["markdown"]
    assert read["fields"]["pages.0.natural_text"]["source"] == "human"
    refused = await up.client.post(
        "/feedback",
        json={
            "prediction_id": found["id"],
            "verdict": "corrected",
            "record": {"pages": [{"rotation_correction": 45}]},
        },
    )
    faults = problem_in(refused, 422, "invalid-record")
    assert "pages.0.rotation_correction" in faults["faults"]


async def test_the_default_model_s_pages_say_that_they_are_its_lines(
    database_url: str, tmp_path: Path
) -> None:
    engine = FakeEngine(answer)
    extractor = make_extractor(engine, GivenLines(LINES))
    async with serving(database_url, tmp_path, engine=engine, extractor=extractor) as up:
        found = await up.extract(**form(document_type="document"))
    assert engine.prompts == []
    assert found["warnings"] == ["text-from-lines"]
    assert found["fields"]["pages.0.natural_text"]["source"] == "lines"
    assert "oats of the north" in found["markdown"]
    assert found["finish_reason"] == "not-asked"


async def test_a_graph_of_a_text_from_request_to_training(up: Serving) -> None:
    found = await up.extract(**graph_of_text())
    assert found["record"] == GRAPH
    assert (found["pages"], found["markdown"]) == ([], None)
    place = found["fields"]["entities.1.text"]["evidence"]
    assert TEXT[place["start"] : place["end"]] == place["text"] == "London"
    assert (place["page"], place["box"]) == (None, None)
    assert {check["name"]: check["verdict"] for check in found["checks"]}[
        "references_resolve"
    ] == "pass"
    image = await up.client.get(f"/predictions/{found['id']}/pages/0")
    problem_in(image, 404, "not-found")

    tail = {**GRAPH["relations"][0], "type": "wrote to"}
    fixed = {**GRAPH, "relations": [tail]}
    said = {"prediction_id": found["id"], "verdict": "corrected"}
    for record, fault in (
        ({"relations": [tail]}, "entities"),
        ({**GRAPH, "relations": [{**tail, "tail": "e9"}]}, "relations.0.tail"),
        ({**GRAPH, "relations": [{**tail, "type": "saw"}]}, "relations.0.type"),
    ):
        refused = await up.client.post("/feedback", json={**said, "record": record})
        assert fault in problem_in(refused, 422, "invalid-record")["faults"]
    taken = await up.client.post("/feedback", json={**said, "record": fixed})
    assert taken.status_code == 201, taken.text

    async with up.sessions.begin() as session:
        stored = (await session.execute(select(Document))).scalar_one()
        assert (stored.media_type, stored.page_count) == ("text/plain", 1)
        (page,) = await list_pages(session, stored.tenant_id, stored.id)
        assert (page.has_image, page.blob_key) == (False, stored.blob_key)
        assert [line["text"] for line in page.lines or ()] == TEXT.split("\n")
        prediction = (await session.execute(select(Prediction))).scalar_one()
        assert prediction.options["entity_types"] == TYPES["entity_types"]
        evaluation = Evaluation(
            tenant_id=stored.tenant_id,
            document_id=stored.id,
            document_type="graph",
            document_type_version=1,
            options=prediction.options,
        )
    assert await up.services.blobs.get(stored.blob_key) == TEXT.encode()
    reader = cast("Reader", None)  # nobody reads a text again
    asking = Asking(up.sessions, up.services.blobs, reader, up.services.extractor)
    assert (await asking._extract(evaluation)).record == GRAPH


async def test_a_text_is_read_for_every_type_and_by_a_worker(up: Serving) -> None:
    as_json = await up.extract(json={"text": TEXT, "document_type": "receipt"})
    assert as_json["record"]["total"] == "9.00"
    parts = {"text": (None, TEXT), "document_type": (None, "receipt")}
    as_form = await up.extract(files=parts)
    assert as_form["record"] == as_json["record"]
    asked = graph_of_text()
    queued = await up.client.post("/extract", params={"wait": "false"}, **asked)
    assert queued.status_code == 202
    assert (await up.until_done(queued.json()["id"]))["record"] == GRAPH
    page = await up.extract(json={"text": TEXT, "document_type": "document"})
    assert page["record"]["pages"][0]["natural_text"] == TEXT


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"json": {"document_type": "receipt"}}, "content_base64"),
    ({"json": {"text": "a", "content_base64": "AAAA"}}, "text"),
    ({"json": {"text": " \n"}}, "text"),
    ({"json": {"text": "%PDF-1.7\n1 0 obj"}}, "text"),
    ({"json": {"text": "a\x00"}}, "text"),
    ({"json": {"text": "a" * 200_001}}, "text"),
    (
        {"content": b'{"text": "\\ud800"}', "headers": {"content-type": "application/json"}},
        "text",
    ),
    ({"json": {"text": "a", "ocr": "off"}}, "ocr"),
    ({"json": {"text": "a", "split": "pages"}}, "split"),
    ({"json": {"text": "a", "document_type": "graph"}}, "entity_types"),
    ({"json": {"text": "a", "document_type": "receipt", **TYPES}}, "entity_types"),
    (graph_of_text(fields=["relations"]), "fields"),
    (graph_of_text(format="entity_tokens"), "format"),
    ({"json": {"text": "a", "document_type": "document", "format": "entity_tokens"}}, "format"),
    ({**form(document_type="receipt", text="a")}, "text"),
    ({"files": {"text": (None, ""), "document_type": (None, "receipt")}}, "text"),
]


async def test_what_does_not_go_together_is_refused(up: Serving) -> None:
    for arguments, place in REFUSED:
        refused = await up.client.post("/extract", **arguments)
        problem = problem_in(refused, 422, "invalid-request")
        assert place in json.dumps(problem), problem
    impossible = await up.client.post("/extract", **graph_of_text(entity_types=["a", "A"]))
    problem = problem_in(impossible, 422, "invalid-document-type")
    assert "/entity_types" in json.dumps(problem)
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    taken = await up.client.put("/document-types/graph", json=schema)
    problem_in(taken, 422, "invalid-document-type")
    assert up.engine.prompts == []
    listed = (await up.client.get("/document-types")).json()["document_types"]
    assert [kind["name"] for kind in listed] == ["receipt", "passport", "document", "graph"]


async def test_other_types_of_a_graph_are_another_request(up: Serving) -> None:
    headers = {"idempotency-key": "one"}
    first = await up.client.post("/extract", **graph_of_text(), headers=headers)
    again = await up.client.post("/extract", **graph_of_text(), headers=headers)
    assert first.json()["id"] == again.json()["id"]
    other = graph_of_text(entity_types=["person"])
    refused = await up.client.post("/extract", **other, headers=headers)
    problem_in(refused, 409, "idempotency-conflict")


def test_the_command_line(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = FakeEngine(answer)
    values = Settings(
        _env_file=None,
        database_url=SecretStr(database_url),
        data_dir=tmp_path,
        api_key=SecretStr(KEY),
        shutdown_seconds=0.2,
    )
    extractor = make_extractor(engine, GivenLines(LINES), traits=WRITES)
    app = create_app(values, engine=engine, extractor=extractor, traits=WRITES)
    page = tmp_path / "page.pdf"
    page.write_bytes(pdf_of_images(pages_of("one")))
    note = tmp_path / "note.txt"
    note.write_text(TEXT, encoding="utf-8")
    with serving_in_thread(app) as url:

        def docloop(*arguments: str, fails: bool = False) -> str:
            done = CliRunner().invoke(
                command_line, ["extract", *arguments, "--url", url, "--key", KEY]
            )
            assert (done.exit_code != 0) is fails, done.output
            return done.stdout

        markdown = docloop(str(page), "--type", "document", "--markdown")
        assert markdown.startswith("---\nprimary_language: en\n")
        assert markdown.endswith("north.\n")
        types = ("--entity-types", "person,place", "--relation-types", "born in,wrote to")
        for source in ((str(note),), ("--text", TEXT)):
            (line,) = docloop(*source, "--type", "graph", *types, "--json").splitlines()
            assert json.loads(line)["record"] == GRAPH
        table = docloop(str(note), "--type", "graph", *types)
        assert "London" in table
        assert "25-31" in table[table.index("London") :]
        docloop("--type", "document", fails=True)
        docloop(str(page), "--text", TEXT, fails=True)
        docloop(str(page), "--type", "receipt", "--markdown", fails=True)
