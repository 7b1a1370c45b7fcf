import asyncio
import io
import json
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from pydantic import BaseModel

from api.logs import Redactor, configure_logs, is_sane_id
from extraction.errors import UnreadableDocument

PASSPORT = "200858064"
OPERATOR_KEY = "my-own-long-operator-key"
KEY = "dl_x7Kq2mZpPlantedPlantedPlanted"


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    root = logging.getLogger()
    before = (list(root.handlers), root.level)
    root.handlers = []
    configure_logs(level="debug", stream=stream, secrets=(OPERATOR_KEY, "short"))
    yield stream
    structlog.contextvars.clear_contextvars()
    structlog.reset_defaults()
    logging.captureWarnings(capture=False)
    logging.raiseExceptions = True
    root.handlers, root.level = before


def lines(log: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.getvalue().splitlines()]


def test_ours_and_others_are_one_json_object_a_line(log: io.StringIO) -> None:
    structlog.contextvars.bind_contextvars(request_id="r-1")
    structlog.get_logger("api.x").info("request", route="/predictions/{id}", status=200)
    logging.getLogger("db.y").warning("two\nlines %s", "here")
    logging.getLogger("uvicorn.error").info("Started server process [%d]", 7)
    logging.getLogger("procrastinate.worker").info("Starting worker")
    logging.getLogger("sqlalchemy.pool").error("lost")
    logging.captureWarnings(capture=True)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("odd", UserWarning, stacklevel=1)
    found = lines(log)
    assert len(found) == 6
    assert found[0]["event"] == "request"
    assert found[0]["route"] == "/predictions/{id}"
    assert all(line["request_id"] == "r-1" for line in found)
    assert {"timestamp", "level", "logger", "event"} <= found[0].keys()
    assert found[2]["event"] == "Started server process [7]"
    assert "UserWarning: odd" in found[5]["event"]


def test_other_libraries_say_nothing_below_warning(log: io.StringIO) -> None:
    logging.getLogger("python_multipart.multipart").debug("data %r", PASSPORT)
    logging.getLogger("httpx").info("HTTP Request: GET /?key=%s", KEY)
    logging.getLogger("PIL.PngImagePlugin").debug("tEXt %s", PASSPORT)
    assert log.getvalue() == ""


class Passport(BaseModel):
    number: int


def test_no_message_and_no_local_of_an_exception(log: io.StringIO) -> None:
    secret_local = f"local {PASSPORT}"  # in a frame of the trace
    try:
        try:
            Passport.model_validate({"number": f"L{PASSPORT}"})
        except ValueError as error:
            raise RuntimeError(f"about {PASSPORT} {secret_local}") from error
    except RuntimeError:
        logging.getLogger("api.z").exception("it failed")
    (line,) = lines(log)
    assert PASSPORT not in log.getvalue()
    assert [part["type"] for part in line["exception"]] == [
        "builtins.RuntimeError",
        "pydantic_core._pydantic_core.ValidationError",
    ]
    assert any(frame.startswith("test_logs.py:") for frame in line["exception"][0]["frames"])


def test_safe_facts_of_an_exception_are_kept(log: io.StringIO) -> None:
    group = ExceptionGroup(PASSPORT, [UnreadableDocument(PASSPORT), FileNotFoundError(2, PASSPORT)])
    structlog.get_logger("api.z").error("it failed", exc_info=group)
    (line,) = lines(log)
    assert [part.get("slug") or part.get("errno") for part in line["exception"]] == [
        None,
        "unreadable-document",
        2,
    ]
    assert PASSPORT not in log.getvalue()


async def test_asyncio_may_not_quote_a_lost_exception(log: io.StringIO) -> None:
    async def fail() -> None:
        raise ValueError(PASSPORT)

    task = asyncio.create_task(fail())
    await asyncio.wait({task})
    context = {"message": "Task exception was never retrieved", "future": task}
    asyncio.get_running_loop().default_exception_handler(context | {"exception": task.exception()})
    (line,) = lines(log)
    assert line["event"] == "Task exception was never retrieved"
    assert PASSPORT not in log.getvalue()


@pytest.mark.parametrize(
    "say",
    [
        {"event": f"asked with {KEY}"},
        {"event": "x", "Authorization": f"Bearer {KEY}"},
        {"event": "x", "headers": {"authorization": KEY, "other": [f"Bearer {KEY}"]}},
        {"event": f"Bearer {OPERATOR_KEY}"},
        {"event": f"dsn {OPERATOR_KEY}"},
        {"event": "x", "api_key": KEY},
        {"event": "x", "image": KEY.encode()},
        {"event": "x", "content": b"bytes"},
        {"event": "x", "error": ValueError(KEY)},
        {"event": "x", "deep": {"a": {"b": {"c": {"d": {"e": {"f": KEY}}}}}}},
    ],
)
def test_the_last_defence(say: dict[str, Any]) -> None:
    cleaned = str(Redactor((OPERATOR_KEY,))(None, "info", say))
    for planted in (KEY, OPERATOR_KEY, "PlantedPlanted", "b'\""):
        assert planted not in cleaned


def test_a_short_secret_does_not_black_out_words(log: io.StringIO) -> None:
    structlog.get_logger("api").info("a short word", completion_tokens=5)
    assert lines(log)[0]["event"] == "a short word"
    assert lines(log)[0]["completion_tokens"] == 5


@pytest.mark.parametrize(
    ("text", "sane"),
    [
        ("3f2504e0-4f89-11d3-9a0c-0305e82c3301", True),
        ("req-1", True),
        ("", False),
        ("two words", False),
        ("line\nbreak", False),
        ('{"a":1}', False),
        ("x" * 65, False),
        (KEY, False),
        ("P<UTOERIKSSON<<ANNA", False),
    ],
)
def test_sane_request_ids(text: str, *, sane: bool) -> None:
    assert is_sane_id(text) is sane
