"""Requests that mean harm: bodies, headers, feedback. Over a real socket where bytes count."""

import asyncio
import gc
import gzip
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from db.tables import Correction, Prediction
from tests.factories_api import KEY, Serving, body, document, form, serving
from tests.probes import Loopback, Reply, count_rows, listening, memory, problem_in

MEGABYTE = 1_000_000
UPLOAD_BYTES = 2 * MEGABYTE
DEEP = 100_000


@pytest.fixture
async def up(database_url: str, tmp_path: Path) -> AsyncIterator[Serving]:
    async with serving(database_url, tmp_path, max_upload_bytes=UPLOAD_BYTES) as up:
        yield up


@pytest.fixture
async def wire(up: Serving) -> AsyncIterator[Loopback]:
    async with listening(up.app) as wire:
        yield wire


def head(method: str, path: str, **headers: str) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "host: test", f"authorization: Bearer {KEY}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def refused(reply: Reply, status: int, slug: str) -> dict[str, Any]:
    assert reply.status == status, (reply.head, reply.body[:300])
    problem: dict[str, Any] = json.loads(reply.body)
    assert problem["type"] == f"/problems/{slug}"
    assert problem["status"] == status
    assert problem["request_id"] in reply.head
    return problem


async def still_answers(up: Serving) -> None:
    assert (await up.extract(**form(document(uuid4().hex))))["state"] == "done"


BORDER = "x-border-x"
MULTIPART = f"multipart/form-data; boundary={BORDER}"


def part(headers: bytes, content: bytes = b"") -> bytes:
    return b"--" + BORDER.encode() + b"\r\n" + headers + b"\r\n\r\n" + content + b"\r\n"


FILE = part(b'content-disposition: form-data; name="file"; filename="a.png"', document())
END = b"--" + BORDER.encode() + b"--\r\n"


FIELD = b'content-disposition: form-data; name="%s"'
FORMS: dict[str, tuple[bytes, str]] = {
    "huge part header": (part(b"x-huge: " + b"a" * 100_000) + FILE + END, "body"),
    "huge part name": (part(FIELD % (b"n" * 50_000)) + FILE + END, ""),
    "5000 headless parts": (b"".join(part(b"x-%d: 1" % i) for i in range(5000)) + END, "body"),
    "5000 parts": (part(FIELD % b"ocr", b"on") * 5000 + FILE + END, "body"),
    "50 files": (FILE * 50 + END, "body"),
    "file and JSON": (FILE + part(FIELD % b"content_base64", b"AAAA") + END, "content_base64"),
    "huge field": (part(FIELD % b"fields", b"a" * 30_000) + FILE + END, "fields"),
    "file as text": (part(FIELD % b"file", b"text, no file") + END, "file"),
    "no part": (END, "file"),
    "empty": (b"", "file"),
    "cut off": (FILE[:-200], "file"),
    "only line ends": (b"\r\n" * 100_000, ""),
    "only dashes": (b"--" * 100_000, ""),
    "a field in no UTF-8": (part(FIELD % b"document_type", b"\xff\xfe\x00") + FILE + END, ""),
    "a name in no UTF-8": (part(FIELD % b"\xff\xfe", b"1") + FILE + END, ""),
}


# Starlette leaves the file of a form that ends in its middle to the garbage collector.
@pytest.mark.filterwarnings("ignore:.*SpooledTemporaryFile")
async def test_a_hostile_form_names_its_fault(up: Serving) -> None:
    for name, (content, place) in FORMS.items():
        with memory() as growth:
            response = await up.client.post(
                "/extract", content=content, headers={"content-type": MULTIPART}
            )
        problem = problem_in(response, 422, "invalid-request")
        assert any(fault.startswith(place) for fault in problem["faults"]), (name, problem)
        assert len(response.content) < 3000, name
        assert growth.bytes < 50 * MEGABYTE, (name, growth.bytes)
    gc.collect()  # here, where the warning is expected
    assert await count_rows(up, Prediction) == 0
    await still_answers(up)


CONTENT_TYPES = (
    "multipart/form-data",
    "multipart/form-data; boundary=",
    "multipart/form-data; boundary=" + "b" * 5000,
    "multipart/mixed; boundary=x",
    "application/x-www-form-urlencoded",
    "application/octet-stream",
    "image/png",
    "application/xml",
    "text/plain",
    "application/json; charset=utf-16",
    "application/jsonp",
    "",
    ";;;",
)


async def test_a_wrong_content_type_is_told(up: Serving) -> None:
    for content_type in CONTENT_TYPES:
        response = await up.client.post(
            "/extract", content=document(), headers={"content-type": content_type}
        )
        slugs = {415: "unsupported-media-type", 422: "invalid-request"}
        assert response.status_code in slugs, (content_type, response.text)
        problem_in(response, response.status_code, slugs[response.status_code])


HOSTILE_JSON = (
    b"[" * DEEP,
    b'{"a":' * DEEP,
    b'{"record":' * 900 + b"1" + b"}" * 900,
    b'{"properties":{"a":' * 450 + b"1" + b"}}" * 450,
    b'{"a": NaN}',
    b'{"record": {"total": Infinity}}',
    b'{"a": -Infinity}',
    b'{"a": 1, "a": 2}',
    b'{"a": ' + b"9" * 100_000 + b"}",
    b'{"a": "\\ud800"}',
    b'{"\\ud800": 1}',
    b'{"a": "\\u0000"}',
    b'{"a": 1e400}',
    b"\xff\xfe{\x00}\x00",
    b"null",
    b"[]",
    b"1",
    b'"' + b"a" * 500_000,
    b"",
)


@pytest.mark.parametrize("path", ["/extract", "/feedback", "/document-types/note"])
async def test_hostile_json_is_told(up: Serving, path: str) -> None:
    method = "PUT" if path.startswith("/document") else "POST"
    for content in HOSTILE_JSON:
        response = await up.client.request(
            method, path, content=content, headers={"content-type": "application/json"}
        )
        shown = (content[:30], response.status_code, response.text[:300])
        assert response.status_code == 422, shown
        problem_in(response, 422, response.json()["type"].rpartition("/")[2])
        assert len(response.content) < 5000, shown
    await still_answers(up)


@pytest.mark.parametrize("path", ["/extract", "/feedback", "/document-types/note"])
async def test_a_packed_body_is_refused_unread(up: Serving, path: str) -> None:
    bomb = gzip.compress(b'{"a": "' + b" " * (50 * MEGABYTE) + b'"}')
    method = "PUT" if path.startswith("/document") else "POST"
    for encoding in ("gzip", "deflate", "br", "gzip, identity"):
        with memory() as growth:
            response = await up.client.request(
                method,
                path,
                content=bomb,
                headers={"content-type": "application/json", "content-encoding": encoding},
            )
        problem = problem_in(response, 415, "unsupported-media-type")
        assert "uncompressed" in problem["faults"]["Content-Encoding"]
        assert growth.bytes < 20 * MEGABYTE
    as_it_is = await up.client.post("/extract", **body(), headers={"content-encoding": "identity"})
    assert as_it_is.status_code == 200


@pytest.mark.parametrize("path", ["/extract", "/feedback"])
async def test_an_endless_body_is_cut_at_its_limit(up: Serving, wire: Loopback, path: str) -> None:
    chunk = b"%x\r\n%s\r\n" % (MEGABYTE, b"x" * MEGABYTE)
    begun = head("POST", path, content_type="application/json", transfer_encoding="chunked")
    with memory() as growth:
        reply = await wire.send(begun, *[chunk] * 50)
    problem = refused(reply, 413, "request-too-large")
    assert problem["limit_bytes"] < 3 * MEGABYTE
    assert "connection: close" in reply.head
    assert growth.bytes < 40 * MEGABYTE, growth.bytes
    await still_answers(up)


async def test_a_false_length_is_not_believed(up: Serving, wire: Loopback) -> None:
    huge = head("POST", "/extract", content_type=MULTIPART, content_length="99999999999")
    refused(await wire.send(huge), 413, "request-too-large")
    for length in ("-1", "1e9", "0x10", "1, 2"):
        bad = head("POST", "/extract", content_type=MULTIPART, content_length=length)
        assert (await wire.send(bad, b"x" * 10)).status == 400
    await still_answers(up)


async def test_hostile_heads_end_their_connection_only(up: Serving, wire: Loopback) -> None:
    for request in (
        b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n",
        head("GET", "/models", x_long="a" * 400_000),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 no http\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /predictions/\x00 HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET /models HTTP/1.1\r\nhost: x\r\nauthorization: Bearer \xff\xfe\x01\r\n\r\n",
    ):
        try:
            reply = await wire.send(request)
        except (asyncio.IncompleteReadError, ConnectionError):
            continue
        assert 400 <= reply.status < 500, reply.head
    await still_answers(up)


async def test_clients_that_hang_up_in_the_middle_leave_nothing(
    up: Serving, wire: Loopback
) -> None:
    begun = head("POST", "/extract", content_type=MULTIPART, content_length="100000") + FILE
    for _ in range(30):
        _, writer = await asyncio.open_connection("127.0.0.1", wire.port)
        writer.write(begun)
        await writer.drain()
        writer.transport.abort()
    await still_answers(up)
    assert await count_rows(up, Prediction) == 1


PATHS = (
    "/predictions/..%2f..%2fetc%2fpasswd",
    "/predictions/%00",
    "/document-types/..%2f..%2fetc",
    "/document-types/%00",
    "/problems/..%2f..%2fetc",
    "/problems/%00",
    "/predictions?cursor=%00",
    "/predictions?cursor=" + "A" * 60,
    "/predictions?document_type=%00",
    "/predictions?created_after=9999-12-31T23:59:59.999999-23:59",
    "/predictions?created_before=0001-01-01T00:00:00%2B23:59",
    "/predictions?max_confidence=nan",
    "/predictions?max_confidence=1e999",
    "/predictions?limit=99999999999999999999",
    "/document-types/receipt?version=99999999999999",
    "/feedback?verdict=%00",
    "/feedback/%F0%9F%92%A9",
    "/predictions/" + "9" * 5000,
)


async def test_hostile_paths_and_queries(up: Serving) -> None:
    for path in PATHS:
        response = await up.client.get(path)
        assert response.status_code < 500, (path, response.text)
        if response.status_code != 200:
            problem_in(response, response.status_code, response.json()["type"].rpartition("/")[2])


async def test_feedback_twice_is_one_and_another_word_supersedes(up: Serving) -> None:
    answer = await up.extract(**form(document_type="receipt"))
    said = {"prediction_id": answer["id"], "verdict": "corrected", "record": {"total": "9.50"}}
    responses = await asyncio.gather(*(up.client.post("/feedback", json=said) for _ in range(10)))
    assert sorted(response.status_code for response in responses) == [*[200] * 9, 201]
    assert len({response.json()["id"] for response in responses}) == 1
    assert await count_rows(up, Correction) == 1
    contrary = {"prediction_id": answer["id"], "verdict": "correct"}
    second = await up.client.post("/feedback", json=contrary)
    assert (second.status_code, second.json()["supersedes"]) == (201, responses[0].json()["id"])
    history = (await up.client.get(f"/feedback/{answer['id']}")).json()["corrections"]
    assert [row["verdict"] for row in history] == ["corrected", "correct"]
    in_force = (await up.client.get("/feedback")).json()["corrections"]
    assert [row["verdict"] for row in in_force] == ["correct"]


FEEDBACK: tuple[tuple[dict[str, Any], str], ...] = (
    ({"verdict": "correct"}, "record"),
    ({"record": None}, "record"),
    ({"record": {}}, ""),
    ({"verdict": "perhaps"}, "verdict"),
    ({"record": {"totl": "9.50"}}, "totl"),
    ({"record": {"total": "nine"}}, "total"),
    ({"record": {"total": []}}, "total"),
    ({"record": {"total": True}}, "total"),
    ({"record": {"total": "\x00"}}, "total"),
    ({"record": {"items": {"0": {}}}}, "items"),
    ({"record": {"items": [{}] * 20_000}}, "items"),
    ({"record": {"merchant_name": "A" * 100_000}}, "merchant_name"),
    ({"record": {"a" * 100_000: 1}}, "a"),
    ({"reviewer": "r" * 201}, "reviewer"),
    ({"comment": "\x00"}, "comment"),
    ({"tenant_id": "other"}, "tenant_id"),
    ({"prediction_id": "1"}, "prediction_id"),
)


async def test_feedback_at_fault_names_the_field(up: Serving) -> None:
    answer = await up.extract(**form(document_type="receipt"))
    said = {"prediction_id": answer["id"], "verdict": "corrected", "record": {"total": "9.50"}}
    for change, place in FEEDBACK:
        response = await up.client.post("/feedback", json={**said, **change})
        shown = (str(change)[:60], response.text[:300])
        assert response.status_code == 422, shown
        slug = response.json()["type"].rpartition("/")[2]
        assert slug in {"invalid-request", "invalid-record"}, shown
        problem = problem_in(response, 422, slug)
        assert any(fault.startswith(place) for fault in problem["faults"]), shown
        assert len(response.content) < 5000, shown
    assert await count_rows(up, Correction) == 0


async def test_half_characters_in_feedback_are_told(up: Serving) -> None:
    answer = await up.extract(**form(document_type="receipt"))
    text = r"a\ud83d"
    for change in (
        f'"record": {{"merchant_name": "{text}"}}',
        f'"record": {{"{text}": 1}}',
        f'"record": {{"total": "1.00"}}, "comment": "{text}"',
        f'"record": {{"total": "1.00"}}, "reviewer": "{text}"',
    ):
        content = f'{{"prediction_id": "{answer["id"]}", "verdict": "corrected", {change}}}'
        response = await up.client.post(
            "/feedback", content=content, headers={"content-type": "application/json"}
        )
        problem_in(response, 422, response.json()["type"].rpartition("/")[2])


async def test_feedback_on_what_is_not_there_or_not_ours(up: Serving) -> None:
    answer = await up.extract(**form(document_type="receipt"))
    stranger = up.as_key(await up.make_key("stranger"))
    said = {"prediction_id": answer["id"], "verdict": "correct"}
    theirs = await stranger.post("/feedback", json=said)
    nobody = await up.client.post("/feedback", json={**said, "prediction_id": str(uuid4())})
    for response in (theirs, nobody):
        problem = problem_in(response, 404, "not-found")
        assert problem.keys() == problem_in(nobody, 404, "not-found").keys()
    assert await count_rows(up, Correction) == 0
