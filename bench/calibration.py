"""How sure the running service should be: confidence against a judge's verdict, value by value.

    python bench/calibration.py [--sroie FOLDER] [--split 400-499] [--generated 20] [--ocr off]
        [--json]

Documents that were not trained on (SROIE's held-out receipts, and generated ones with seeds of
their own) go through `/extract`; what is wrong goes back through `/feedback` as a clerk's
correction. The table has, per document type, the values that the model read, the share of them that
was right, and the expected calibration error of the confidence that the service gave them (Naeini
et al. 2015). `python -m trainer.calibrate` fits the confidence on the corrections that this leaves
in the database.
"""

import argparse
import asyncio
import io
import json
import os
import random
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from accuracy import FIELDS, gather, read_rows
from rich.console import Console
from rich.table import Table

from extraction.document_types.base import DocumentType, Kind
from extraction.document_types.catalogue import BUILT_IN
from extraction.record import value_of
from extraction.scoring import score_field, score_record
from trainer.calibrate import expected_calibration_error
from trainer.synth.passports import make_passport
from trainer.synth.receipts import make_receipt

# A text that is as close as this to the truth is left as it is by a clerk.
CLOSE_ENOUGH = 0.95


@dataclass(frozen=True, slots=True)
class Truth:
    """A document with what is printed on it.

    Attributes:
        name: for messages.
        content: the file.
        document_type: name of its type.
        fields: the fields whose truth is known.
        record: the truth as printed, nested; what is not on the document has no key.
    """

    name: str
    content: bytes
    document_type: str
    fields: tuple[str, ...]
    record: Mapping[str, Any]


def receipts_of(folder: Path, split: str) -> Iterator[Truth]:
    """The held-out receipts of SROIE."""
    for row in read_rows(folder / "receipts.jsonl", split):
        record = {FIELDS[name]: text for name, text in row["fields"].items() if text}
        content = (folder / row["image"]).read_bytes()
        yield Truth(row["id"], content, "receipt", tuple(FIELDS.values()), record)


def generated(count: int) -> Iterator[Truth]:
    """As many passports and a third as many receipts, whose every field is known."""
    for number in range(count):
        yield _generated("passport", number)
        if number % 3 == 0:
            yield _generated("receipt", number)


def _generated(name: str, number: int) -> Truth:
    make = make_passport if name == "passport" else make_receipt
    document = make(random.Random(f"calibration/{name}/{number}"))
    buffer = io.BytesIO()
    document.image.save(buffer, "PNG")
    asked = tuple(spec.name for spec in BUILT_IN[name].fields if spec.asked)
    return Truth(f"{name} {number}", buffer.getvalue(), name, asked, document.record)


def judged(truth: Truth, answer: Mapping[str, Any]) -> Iterator[tuple[str, float, bool]]:
    """Path, confidence and verdict of each value that the model read."""
    document_type = BUILT_IN[truth.document_type]
    for path, read in answer["fields"].items():
        if read["source"] != "model":
            continue
        reference = _at(truth.record, path)
        score = score_field(document_type.field(path), reference, read["value"])
        yield path, read["confidence"], score is not None and score >= CLOSE_ENOUGH


def _at(record: Any, path: str) -> Any:
    for part in path.split("."):
        if isinstance(record, Mapping):
            record = record.get(part)
        else:
            known = isinstance(record, list) and int(part) < len(record)
            record = record[int(part)] if known else None
    return record


def correction(truth: Truth, answer: Mapping[str, Any]) -> dict[str, Any]:
    """What a clerk would send: only fields that are wrong or missing, a list as a whole.

    What a page prints and the service has no value for (the currency "$") is sent as absent.
    """
    document_type: DocumentType = BUILT_IN[truth.document_type].select(truth.fields)
    scores = score_record(document_type, truth.record, answer["record"]).fields
    wrong: dict[str, Any] = {}
    for spec in document_type.fields:
        reference, value = truth.record.get(spec.name), answer["record"].get(spec.name)
        invented = reference in (None, "", []) and value not in (None, [])
        if invented:
            wrong[spec.name] = [] if spec.kind is Kind.LIST else None
        elif scores.get(spec.name, 1.0) < CLOSE_ENOUGH:
            known = spec.kind is Kind.LIST or value_of(spec.kind, spec, str(reference)) is not None
            wrong[spec.name] = reference if known else None
    return wrong


async def one(
    client: httpx.AsyncClient, truth: Truth, ocr: str
) -> list[tuple[str, str, float, bool]]:
    """Extract, judge, correct; the judged values as type, path, confidence, verdict."""
    form = {"document_type": truth.document_type, "fields": ",".join(truth.fields), "ocr": ocr}
    response = await client.post("/extract", data=form, files={"file": (truth.name, truth.content)})
    response.raise_for_status()
    answer = response.json()
    values = [(truth.document_type, *value) for value in judged(truth, answer)]
    wrong = correction(truth, answer)
    body = {
        "prediction_id": answer["id"],
        "verdict": "corrected" if wrong else "correct",
        "reviewer": "bench",
    }
    stored = await client.post("/feedback", json={**body, "record": wrong} if wrong else body)
    if stored.is_error:
        Console(stderr=True).print(f"{truth.name}: {stored.status_code} {stored.text[:300]}")
    return values


async def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """All documents, some at a time."""
    truths = list(generated(arguments.generated))
    if arguments.sroie:
        truths += receipts_of(arguments.sroie, arguments.split)
    slots = asyncio.Semaphore(arguments.concurrency)
    headers = {"Authorization": f"Bearer {os.environ.get('DOCLOOP_API_KEY', '')}"}
    url = os.environ.get("DOCLOOP_URL", "http://127.0.0.1:8000")
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=600) as client:

        async def ask(row: dict[str, Any]) -> dict[str, Any]:
            async with slots:
                return {"values": await one(client, row["truth"], arguments.ocr)}

        answers = await gather([{"truth": truth} for truth in truths], ask)
    values = [value for answer in answers for value in answer["values"]]
    return {name: summary(values, name) for name in sorted({value[0] for value in values})}


def summary(values: list[tuple[str, str, float, bool]], name: str) -> dict[str, float]:
    """The row of one document type."""
    confidence = np.array([value[2] for value in values if value[0] == name])
    right = np.array([float(value[3]) for value in values if value[0] == name])
    return {
        "values": len(right),
        "right": float(right.mean()),
        "mean_confidence": float(confidence.mean()),
        "calibration_error": expected_calibration_error(confidence, right),
    }


def main() -> int:
    """Parses the command line and prints one table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--sroie", type=Path, help="folder with receipts.jsonl and images")
    parser.add_argument("--split", default="400-499")
    parser.add_argument("--generated", type=int, default=0, help="passports; a third of receipts")
    parser.add_argument("--ocr", choices=("on", "off"), default="on", help="off: the model alone")
    parser.add_argument("--concurrency", type=int, default=4)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    result = asyncio.run(run(arguments))
    if arguments.json:
        print(json.dumps(result))
    else:
        table = Table("type", "values", "right", "mean confidence", "calibration error")
        for name, row in result.items():
            table.add_row(
                name,
                str(row["values"]),
                f"{row['right']:.3f}",
                f"{row['mean_confidence']:.3f}",
                f"{row['calibration_error']:.3f}",
            )
        Console().print(table)
    return 0 if result else 1


if __name__ == "__main__":
    sys.exit(main())
