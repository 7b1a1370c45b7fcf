"""The seconds of an accuracy bench are its requests' alone."""

import argparse
import asyncio
import time
from pathlib import Path
from typing import Any

import accuracy
import pytest
from accuracy_travel import Truth

TRUTH = Truth(0, "TD3", "000.png", {}, (), {})
WRITING, ASKING = 0.8, 0.1


@pytest.mark.parametrize(
    ("task", "writer", "rows"),
    [
        ("travel", "write_documents", [TRUTH, TRUTH]),
        ("pages", "write_pages", [{"id": name, "path": name, "tests": []} for name in "ab"]),
    ],
)
async def test_documents_are_written_before(
    task: str, writer: str, rows: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(*_: Any) -> list[Any]:
        time.sleep(WRITING)
        return rows

    async def send(_path: Path, _form: dict[str, str]) -> dict[str, Any]:
        await asyncio.sleep(ASKING)
        return {}

    monkeypatch.setattr(accuracy, writer, write)
    asked = argparse.Namespace(task=task, folder=Path(), count=2, ocr="on")
    result = await accuracy.measure(asked, send)
    assert ASKING <= result["seconds"] < WRITING
