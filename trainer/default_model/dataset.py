"""The examples that the default model learns from, mixed with a fixed seed.

Real receipts as our OCR reads them, generated receipts with every field, generated passports. Each
document is asked in several ways: all fields, some, under other names, in entity tokens, with a
thought first; so that what a request may ask for has been seen in training.
"""

import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from rich.progress import track

from extraction.document_types.base import DocumentType, Kind
from extraction.document_types.passport import PASSPORT
from extraction.document_types.receipt import RECEIPT
from extraction.layout import Layout
from extraction.lines import Line, LineReader
from extraction.pages import Page
from extraction.prompt import AnswerFormat, Asked
from trainer.default_model.sroie import FIELD_NAMES, ReadReceipt, lines_from
from trainer.examples import Example, make_example
from trainer.stage import read_lines
from trainer.synth.document import SyntheticDocument
from trainer.synth.ocr_noise import misread
from trainer.synth.passports import make_passport
from trainer.synth.receipts import make_receipt

FOUR = tuple(FIELD_NAMES.values())
_MOST_THOUGHTS = 5

# Other names under which a caller's own type might ask for the same thing.
_TYPE_NAMES = ("invoice", "bill", "expense", "purchase", "ticket")
_SYNONYMS = {
    "merchant_name": ("company", "seller", "vendor", "store", "supplier_name", "shop"),
    "merchant_address": ("address", "seller_address", "location", "store_address"),
    "transaction_date": ("date", "purchase_date", "invoice_date", "issued_on"),
    "total": ("amount", "total_amount", "grand_total", "sum_to_pay", "amount_due"),
    "receipt_number": ("number", "invoice_number", "document_no"),
    "merchant_phone": ("phone", "telephone"),
    "subtotal": ("net_amount", "sum_before_tax"),
    "tax_total": ("vat", "tax", "gst_amount"),
}


@dataclass(frozen=True, slots=True)
class Mix:
    """How many examples of each source, and how they are asked.

    Attributes:
        sroie: examples from real receipts, drawn in whole passes.
        receipts: generated receipts.
        passports: generated travel documents.
        read_passports: how many of these are read by our OCR; the others get its typical errors by
            imitation, because a real reading costs a second each.
        renamed: share of receipts asked under a caller's names.
        reasoning: share of examples with a thought before the answer.
        entity_tokens: share of passports answered in entity tokens.
        transcript: share of real receipts shown as the annotators read them.
        misread: share of real receipts with more misreadings than our OCR's own.
        whole: share of real receipts asked for all four answers.
        four_of_generated: share of generated receipts asked for SROIE's four fields.
        partial_receipts: share of generated receipts asked for some fields.
        partial_passports: share of passports asked for some fields.
    """

    sroie: int
    receipts: int
    passports: int
    read_passports: int = 80
    renamed: float = 0.08
    reasoning: float = 0.03
    entity_tokens: float = 0.2
    transcript: float = 0.15
    misread: float = 0.15
    whole: float = 0.65
    four_of_generated: float = 0.3
    partial_receipts: float = 0.3
    partial_passports: float = 0.4


def build_examples(
    mix: Mix,
    receipts: Sequence[ReadReceipt],
    generated: Sequence[SyntheticDocument],
    rng: random.Random,
) -> list[Example]:
    """The training set in its order; the same for the same arguments."""
    asker = Asker(mix, rng)
    examples = [asker.of_sroie(receipt) for receipt in _passes(receipts, mix.sroie, rng)]
    examples += [asker.of_generated(document) for document in generated]
    rng.shuffle(examples)
    return examples


def generate(mix: Mix, cache: Path, *, seed: int, threads: int) -> list[SyntheticDocument]:
    """The generated documents, each read by our OCR once; the lines are kept in `cache`.

    An image is not kept: a seed makes it again.
    """
    made = dict(_cached(cache))
    wanted = [("receipt", index) for index in range(mix.receipts)]
    wanted += [("passport", index) for index in range(mix.passports)]
    missing = [key for key in wanted if f"{seed}/{key[0]}/{key[1]}" not in made]
    if missing:
        cache.parent.mkdir(parents=True, exist_ok=True)
        reader = LineReader(threads)
        with cache.open("a") as file:
            for kind, index in track(missing, description="generating and reading documents"):
                key = f"{seed}/{kind}/{index}"
                make: Callable[[random.Random], SyntheticDocument] = (
                    make_receipt if kind == "receipt" else make_passport
                )
                document = make(random.Random(key))
                if kind == "passport" and index >= mix.read_passports:
                    lines = misread(document.lines, random.Random(f"{key}/ocr"), 0.15)
                else:
                    lines = reader.read(Page(0, document.image))
                made[key] = replace(document, lines=lines)
                stored = {
                    "key": key,
                    "document_type": kind,
                    "lines": [asdict(line) for line in lines],
                    "record": document.record,
                }
                file.write(json.dumps(stored) + "\n")
                file.flush()
    return [made[f"{seed}/{kind}/{index}"] for kind, index in wanted]


def _cached(cache: Path) -> Iterator[tuple[str, SyntheticDocument]]:
    if not cache.exists():
        return
    for stored in read_lines(cache):
        yield (
            stored["key"],
            SyntheticDocument(
                stored["document_type"],
                None,  # type: ignore[arg-type]
                lines_from(stored["lines"]),
                stored["record"],
            ),
        )


def _passes(receipts: Sequence[ReadReceipt], count: int, rng: random.Random) -> list[ReadReceipt]:
    drawn: list[ReadReceipt] = []
    while len(drawn) < count:
        one_pass = list(receipts)
        rng.shuffle(one_pass)
        drawn += one_pass
    return drawn[:count]


class Asker:
    """Turns a document into an example, asked in one of many ways.

    Args:
        mix: the shares of the ways.
        rng: draws them.
        layout: how the prompt shows where lines stand.
    """

    def __init__(self, mix: Mix, rng: random.Random, layout: Layout = Layout.ROWS) -> None:
        self._mix, self._rng, self._layout = mix, rng, layout

    def of_sroie(self, receipt: ReadReceipt, *, hidden: bool = False) -> Example:
        """A real receipt; without its lines in the prompt where they are hidden."""
        lines: Sequence[Line] = receipt.lines
        draw = self._rng.random()
        if draw < self._mix.transcript:
            lines = receipt.transcript
        elif draw < self._mix.transcript + self._mix.misread:
            lines = misread(receipt.lines, self._rng, 0.01)
        all_four = self._rng.random() < self._mix.whole
        names = FOUR if all_four else tuple(self._rng.sample(FOUR, self._rng.randint(1, 3)))
        source = f"sroie/{receipt.id}"
        return self._of_receipt(names, lines, receipt.record, source, hidden=hidden)

    def of_generated(self, document: SyntheticDocument, *, hidden: bool = False) -> Example:
        """A generated document; without its lines in the prompt where they are hidden."""
        if document.document_type == RECEIPT.name:
            return self._of_receipt(
                self._receipt_names(),
                document.lines,
                document.record,
                "generated/receipt",
                hidden=hidden,
            )
        names = [name for name in PASSPORT.field_names if PASSPORT.field(name).asked]
        if self._rng.random() < self._mix.partial_passports:
            names = self._rng.sample(names, self._rng.randint(1, 8))
        as_entities = self._rng.random() < self._mix.entity_tokens
        asked = self._asked(PASSPORT.select(tuple(names)), as_entities=as_entities)
        source = "generated/passport"
        return self._with_thought(asked, document.lines, document.record, source, hidden=hidden)

    def of_neither(self, lines: Sequence[Line]) -> Example:
        """A page that is neither receipt nor travel document: nothing that is asked is on it."""
        document_type = self._rng.choice((RECEIPT, PASSPORT))
        names = [field.name for field in document_type.fields if field.asked]
        if document_type is RECEIPT and self._rng.random() < self._mix.whole:
            names = list(FOUR)
        asked = self._asked(document_type.select(tuple(names)), as_entities=False)
        return make_example(asked, lines, {}, source="generated/neither")

    def _asked(self, document_type: DocumentType, *, as_entities: bool) -> Asked:
        answer_format = AnswerFormat.ENTITY_TOKENS if as_entities else AnswerFormat.JSON
        return Asked(document_type, answer_format, layout=self._layout)

    def _receipt_names(self) -> tuple[str, ...]:
        draw = self._rng.random()
        if draw < self._mix.four_of_generated:
            return FOUR
        if draw < self._mix.four_of_generated + self._mix.partial_receipts:
            return tuple(self._rng.sample(RECEIPT.field_names, self._rng.randint(1, 8)))
        return RECEIPT.field_names

    def _of_receipt(
        self,
        names: tuple[str, ...],
        lines: Sequence[Line],
        record: dict[str, Any],
        source: str,
        *,
        hidden: bool,
    ) -> Example:
        document_type = RECEIPT.select(names)
        if self._rng.random() < self._mix.renamed and set(names) <= set(_SYNONYMS):
            document_type, record = _renamed(document_type, record, self._rng)
        flat = all(not field.children for field in document_type.fields)
        as_entities = flat and self._rng.random() < self._mix.entity_tokens / 5
        asked = self._asked(document_type, as_entities=as_entities)
        return self._with_thought(asked, lines, record, source, hidden=hidden)

    def _with_thought(
        self,
        asked: Asked,
        lines: Sequence[Line],
        record: dict[str, Any],
        source: str,
        *,
        hidden: bool,
    ) -> Example:
        shown = () if hidden else lines
        if self._rng.random() >= self._mix.reasoning:
            return make_example(asked, shown, record, source=source)
        thought = _thought(asked.document_type, lines, record)
        asked = replace(asked, reasoning=True)
        return make_example(asked, shown, record, source=source, thought=thought)


def _renamed(
    document_type: DocumentType, record: dict[str, Any], rng: random.Random
) -> tuple[DocumentType, dict[str, Any]]:
    """The same questions under a caller's names, in a caller's order."""
    fields = [
        (replace(field, name=rng.choice(_SYNONYMS[field.name])), field.name)
        for field in document_type.fields
    ]
    rng.shuffle(fields)
    renamed = replace(
        document_type,
        name=rng.choice(_TYPE_NAMES),
        fields=tuple(field for field, _ in fields),
    )
    return renamed, {field.name: record[old] for field, old in fields if old in record}


def _thought(document_type: DocumentType, lines: Sequence[Line], record: dict[str, Any]) -> str:
    """Says on which line each asked text stands; no more than a small model can learn to say."""
    said: list[str] = []
    for field in document_type.fields:
        value = record.get(field.name)
        if not isinstance(value, str) or field.kind is Kind.OBJECT or len(said) >= _MOST_THOUGHTS:
            continue
        start = value[:10].casefold()
        line = next((item.text for item in lines if start in item.text.casefold()), None)
        where = f"in '{line.replace('<', '')[:60]}'" if line else "not on one line"
        said.append(f"{field.name} stands {where}")
    return "; ".join(said) + "." if said else "Nothing that was asked is here."
