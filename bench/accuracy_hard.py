"""Hasty photographs, and pages that are neither receipt nor travel document.

Ten generated receipts and passports as a telephone takes them are sent with `auto`; their fields
are judged against what is printed. The odd pages (a menu, a map, noise, a blank sheet ...) are sent
with `auto`, which should say that it knows no such type, and once more as a receipt, where what is
not there should stay empty and what is given should not be sure of itself.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from accuracy_client import Post, gather, mean
from accuracy_sroie import FIELDS
from accuracy_travel import truth_of
from PIL import Image, ImageDraw, ImageFont

from extraction.document_types.base import Kind
from extraction.document_types.catalogue import BUILT_IN
from extraction.scoring import score_field
from trainer.synth.passports import make_passport
from trainer.synth.receipts import make_receipt
from trainer.synth.vision.odd_pages import KINDS, make_odd_page
from trainer.synth.vision.photo import photograph_document

PHOTOGRAPHS = 10
SURE = 0.8
"""A confidence that a clerk would not look at twice."""

_AS_RECEIPT = {"document_type": "receipt", "fields": ",".join(FIELDS.values())}
_CELL, _CAPTION, _ACROSS = (340, 420), 72, 7


@dataclass(frozen=True)
class HardPage:
    """One page.

    Attributes:
        name: kind of page.
        image: file name.
        document_type: what it is; "unknown" for an odd page.
        printed: top-level fields as printed.
        zone: of a travel document, the fields that its zone carries, as it writes them.
    """

    name: str
    image: str
    document_type: str
    printed: Mapping[str, Any]
    zone: Mapping[str, Any] = field(default_factory=dict)


def write_hard_pages(folder: Path) -> list[HardPage]:
    """All pages as PNG files."""
    folder.mkdir(parents=True, exist_ok=True)
    pages = []
    for page, image in (*_photographs(), *_odd_pages()):
        image.save(folder / page.image)
        pages.append(page)
    return pages


def _photographs() -> Iterator[tuple[HardPage, Image.Image]]:
    for number in range(PHOTOGRAPHS):
        rng = random.Random(f"hard/{number}")
        document = (make_passport if number % 2 else make_receipt)(rng)
        seen = photograph_document(document, rng)
        name = f"photograph {number}"
        image = f"photo-{number:02}.png"
        zone = truth_of(number, "", image, document).zone if number % 2 else {}
        yield HardPage(name, image, document.document_type, document.record, zone), seen.image


def _odd_pages() -> Iterator[tuple[HardPage, Image.Image]]:
    for kind in KINDS:
        image = make_odd_page(kind, random.Random(f"hard/{kind}")).image
        yield HardPage(kind, f"odd-{kind}.png", "unknown", {}), image


async def hard(pages: Sequence[HardPage], folder: Path, send: Post) -> dict[str, Any]:
    """What the service says of each page; a page without an answer counts as not answered.

    Returns:
        `typed`: pages whose type `auto` said rightly; of photographs `right`, `wrong` and `missing`
        fields, `invented` values for what is not printed, `sure_and_wrong` those among the wrong
        and invented of which the service is sure; of odd pages asked as receipts `values`, how many
        were given, `highest`, the highest confidence among them, and how many are `sure`.
    """
    rows: list[dict[str, Any]] = [
        {"page": page, "form": form}
        for page in pages
        for form in ({"document_type": "auto"}, _AS_RECEIPT)
        if form is not _AS_RECEIPT or page.document_type == "unknown"
    ]
    answers = await gather(rows, lambda row: send(folder / row["page"].image, row["form"]))
    results = []
    for row, answer in zip(rows, answers, strict=True):
        page, auto = row["page"], row["form"] is not _AS_RECEIPT
        found = {
            "page": page.name,
            "image": page.image,
            "expected": page.document_type,
            "asked": row["form"]["document_type"],
            "said": answer.get("document_type"),
            "answered": bool(answer),
            "answer": answer,
        }
        if page.document_type != "unknown":
            found |= _judged(page, answer)
        elif not auto:
            found["confidences"] = [
                one["confidence"]
                for one in (answer.get("fields") or {}).values()
                if one["value"] not in (None, [])
            ]
        results.append(found)
    return {**summary(results), "rows": results}


def _judged(page: HardPage, answer: Mapping[str, Any]) -> dict[str, int]:
    """The counts of `hard` over the single fields of one photograph; lists are left out.

    Right is what equals the printed value, or the zone's.
    """
    record, fields = answer.get("record") or {}, answer.get("fields") or {}
    counts = {"right": 0, "wrong": 0, "missing": 0, "invented": 0, "sure_and_wrong": 0}
    for spec in BUILT_IN[page.document_type].fields:
        if spec.kind in {Kind.LIST, Kind.OBJECT} or not spec.asked:
            continue
        truths = [known.get(spec.name) for known in (page.printed, page.zone)]
        known, value = [one for one in truths if one not in (None, "")], record.get(spec.name)
        if not known and value is None:
            continue
        if not known:
            verdict = "invented"
        elif value is None:
            verdict = "missing"
        else:
            right = any(score_field(spec, one, value) == 1 for one in known)
            verdict = "right" if right else "wrong"
        counts[verdict] += 1
        sure = (fields.get(spec.name) or {}).get("confidence", 0.0) >= SURE
        counts["sure_and_wrong"] += sure and verdict in {"wrong", "invented"}
    return counts


def summary(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The figures of `hard` from its rows."""
    by_auto = [row for row in results if row["asked"] == "auto"]
    photographs = [row for row in by_auto if row["expected"] != "unknown"]
    odd = [row for row in by_auto if row["expected"] == "unknown"]
    given = [one for row in results for one in row.get("confidences", ())]
    counts = ("right", "wrong", "missing", "invented", "sure_and_wrong")
    return {
        "answered": mean([float(row["answered"]) for row in results]),
        "photographs": {
            "pages": len(photographs),
            "typed": sum(row["said"] == row["expected"] for row in photographs),
            **{name: sum(row[name] for row in photographs) for name in counts},
        },
        "odd": {
            "pages": len(odd),
            "typed": sum(row["said"] == row["expected"] for row in odd),
            "values": len(given),
            "highest": max(given, default=0.0),
            "sure": sum(one >= SURE for one in given),
        },
    }


def hard_table(result: dict[str, Any]) -> list[tuple[str, ...]]:
    """Header and rows."""
    photographs, odd = result["photographs"], result["odd"]
    return [
        ("figure", "photographs", "odd pages"),
        ("pages", str(photographs["pages"]), str(odd["pages"])),
        ("type said rightly by auto", str(photographs["typed"]), str(odd["typed"])),
        *(
            (f"fields {name.replace('_', ' ')}", str(photographs[name]), "")
            for name in ("right", "wrong", "missing", "invented", "sure_and_wrong")
        ),
        ("asked as receipts: values given", "", str(odd["values"])),
        (f"of them with a confidence of {SURE} or more", "", str(odd["sure"])),
        ("highest confidence", "", f"{odd['highest']:.2f}"),
        ("answered", f"{100 * result['answered']:.0f} %", ""),
    ]


def draw_sheet(results: Sequence[Mapping[str, Any]], folder: Path) -> Path:
    """Every page beside what was said of it, as one picture in the folder; answers its path."""
    pages: dict[str, list[str]] = {}
    for row in results:
        pages.setdefault(row["image"], []).append(_caption(row))
    width, height = _CELL
    down = -(-len(pages) // _ACROSS)
    sheet = Image.new("RGB", (_ACROSS * width, down * (height + _CAPTION)), "white")
    pen = ImageDraw.Draw(sheet)
    face = ImageFont.load_default(13)
    for number, (name, captions) in enumerate(pages.items()):
        x, y = number % _ACROSS * width, number // _ACROSS * (height + _CAPTION)
        with Image.open(folder / name) as image:
            small = image.convert("RGB")
        small.thumbnail((width - 12, height - 8))
        sheet.paste(small, (x + 6, y + 4))
        pen.multiline_text((x + 6, y + height), "\n".join(captions), fill="black", font=face)
    path = folder / "sheet.png"
    sheet.save(path)
    return path


def _caption(row: Mapping[str, Any]) -> str:
    if not row["answered"]:
        return f"{row['page']}: no answer"
    if "right" in row:
        return (
            f"{row['page']}: {row['said']}\n{row['right']} right, {row['wrong']} wrong, "
            f"{row['missing']} missing\n{row['invented']} invented"
        )
    if "confidences" in row:
        sure = ", ".join(f"{one:.2f}" for one in row["confidences"])
        return f"as a receipt: {sure or 'nothing'}"
    return f"{row['page']}: {row['said']}"
