"""The serving sentence with a fake engine, given lines and a given type."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, cast

from PIL import Image

from extraction.classify import UNKNOWN, TypeClassifier, TypeDecision
from extraction.confidence import Calibration
from extraction.document_types.base import DocumentType
from extraction.document_types.catalogue import BUILT_IN
from extraction.document_types.custom import type_from_schema
from extraction.engine import Completion, Prompt, Sampling
from extraction.extract import Extraction, Extractor, ExtractRequest, Readers
from extraction.lines import Line, LineReader
from extraction.pages import Page
from extraction.prompt import AnswerFormat, PromptStyle
from extraction.traits import ModelTraits
from tests.factories_lines import LOWER, UPPER, page_of
from tests.fakes import FakeEngine

RECEIPT, PASSPORT = BUILT_IN["receipt"], BUILT_IN["passport"]
BLIND = ModelTraits("v-1", style=PromptStyle.COMPACT, sees_images=False)
SEEING = ModelTraits("v-2", sees_images=True)
TILL = page_of("CORNER STORE", "25/12/2018", ("Milk", "2", "4.50", "9.00"), ("TOTAL", "RM9.00"))
BOOKLET = page_of("ERIKSSON", "ANNA MARIA", "12 AUG/AOUT 1974", UPPER, LOWER)
ANSWER = {
    "merchant_name": "CORNER STORE",
    "transaction_date": "25/12/2018",
    "items": [
        {"description": "Milk", "quantity": "2", "unit_price": "4.50", "total_price": "9.00"}
    ],
    "total": "RM9.00",
}
NOTE = type_from_schema(
    "note",
    {
        "type": "object",
        "properties": {
            "number": {"type": "string", "x-kind": "code"},
            "due": {"type": "string", "format": "date"},
            "days": {"type": "array", "items": {"type": "string", "format": "date"}},
        },
        "required": ["number"],
    },
    3,
)


class CutEngine(FakeEngine):
    """Ends every answer for the reason given."""

    finish_reason = "length"

    async def generate(self, prompt: Prompt, sampling: Sampling) -> Completion:
        done = await super().generate(prompt, sampling)
        return replace(done, finish_reason=self.finish_reason, queue_seconds=0.004)


class Reader:
    """Reads the same lines on every page, or those of its index."""

    def __init__(self, *pages: Sequence[Line]) -> None:
        self.pages = pages
        self.threads: list[int] = []

    def read(self, page: Page) -> list[Line]:
        self.threads.append(threading.get_ident())
        return [replace(line, page=page.index) for line in self.pages[page.index]]


class Classifier:
    """Decides as it is told."""

    def __init__(self, name: str = UNKNOWN, confidence: float = 0.9) -> None:
        self.decision = TypeDecision(name, confidence)
        self.threads: list[int] = []

    def decide(self, lines: Sequence[Line]) -> TypeDecision:
        self.threads.append(threading.get_ident())
        return self.decision


def extractor(
    engine: FakeEngine,
    *pages: Sequence[Line],
    traits: ModelTraits = BLIND,
    classifier: Classifier | None = None,
    reader: Reader | None = None,
    **more: Any,
) -> Extractor:
    readers = Readers(
        lines=cast("LineReader", reader or Reader(*pages)) if pages or reader else None,
        classifier=cast("TypeClassifier", classifier or Classifier()),
        traits=traits,
        **{"calibration": Calibration(), **more},
    )
    return Extractor(engine, readers)


async def run(
    engine: FakeEngine | str | Callable[[Prompt], str],
    *pages: Sequence[Line],
    kind: DocumentType | None = RECEIPT,
    fields: tuple[str, ...] = (),
    reasoning: bool = False,
    answer_format: AnswerFormat = AnswerFormat.JSON,
    use_lines: bool = True,
    page_count: int = 1,
    **more: Any,
) -> Extraction:
    engine = engine if isinstance(engine, FakeEngine) else FakeEngine(engine)
    await engine.start()
    request = ExtractRequest(b"", kind, fields, reasoning, answer_format, use_lines)
    shown = [Page(index, Image.new("RGB", (20, 30))) for index in range(page_count)]
    return await extractor(engine, *pages, **more).extract(request, shown)
