"""Labelled pages for the type classifier: real and generated receipts, travel documents, others."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from extraction.classify import PASSPORT, UNKNOWN
from extraction.lines import Line
from extraction.mrz import find_mrz
from extraction.page_features import features_of
from trainer.default_model.sroie import read_receipts
from trainer.synth.dice import chance
from trainer.synth.ocr_noise import misread
from trainer.synth.other_pages import KINDS, make_invoice_page, make_other_page
from trainer.synth.passports import make_passport
from trainer.synth.receipts import make_receipt

RECEIPT = "receipt"
_NOISE = (0.0, 0.1, 0.2, 0.4)
_FILLERS = 3
_ONE_LINE, _TORN = 0.2, 0.55


@dataclass(frozen=True, slots=True)
class LabelledPage:
    """One page of known type.

    Attributes:
        label: "receipt", "passport" or "unknown".
        kind: what it is more closely, as "sroie", "delivery_note"; a kind is held out as a whole.
        lines: as an OCR reads them.
    """

    label: str
    kind: str
    lines: list[Line]


@dataclass(frozen=True)
class Counts:
    """How many pages are generated: of receipts, invoices, passports, and of every other kind."""

    receipts: int = 700
    invoices: int = 150
    passports: int = 700
    each_other: int = 45


def sroie_pages(folder: Path, cache: Path, split: range, *, threads: int) -> list[LabelledPage]:
    """The SROIE receipts of a split as our OCR reads them."""
    receipts = read_receipts(folder, cache, split=split, threads=threads)
    return [LabelledPage(RECEIPT, "sroie", receipt.lines) for receipt in receipts]


def generated_pages(counts: Counts, seed: int) -> Iterator[LabelledPage]:
    """Generated pages of all labels, misread; the same for the same seed."""
    wanted = chain(
        ((RECEIPT, "receipt", index) for index in range(counts.receipts)),
        ((RECEIPT, "invoice", index) for index in range(counts.invoices)),
        ((PASSPORT, "passport", index) for index in range(counts.passports)),
        ((UNKNOWN, kind, index) for kind in KINDS for index in range(counts.each_other)),
    )
    total = counts.receipts + counts.invoices + counts.passports + counts.each_other * len(KINDS)
    for label, kind, index in track(wanted, description="generating pages", total=total):
        rng = random.Random(f"{seed}/{kind}/{index}")
        if kind == "receipt":
            lines = make_receipt(rng).lines
        elif kind == "invoice":
            lines = make_invoice_page(rng)
        elif kind == "passport":
            lines = _without_zone(make_passport(rng).lines, rng)
        else:
            lines = make_other_page(kind, rng)
        # The small print of cards and passports over their patterns is hardly ever read well.
        if (kind == "passport" and chance(rng, 0.5)) or chance(rng, 0.15):
            lines = _garbled(lines, rng)
        yield LabelledPage(label, kind, misread(lines, rng, rng.choice(_NOISE)))


def _without_zone(lines: Sequence[Line], rng: random.Random) -> list[Line]:
    """Mostly a page whose zone was not read: one whose zone was needs no model."""
    if chance(rng, 0.15):
        return list(lines)
    zone = [line for line in lines if line.text.count("<") >= _FILLERS]
    kept = [line for line in lines if line not in zone]
    draw = rng.random()
    if zone and draw < _ONE_LINE:
        kept.append(rng.choice(zone))
    elif draw < _TORN:
        # Cut off, or read in part: what is left proves nothing.
        kept += [_torn(line, rng) for line in zone if chance(rng, 0.6)]
    if chance(rng, 0.3):
        kept = [line for line in kept if not chance(rng, 0.25)]
    return kept or list(lines)


def _garbled(lines: Sequence[Line], rng: random.Random) -> list[Line]:
    """Lines of small print with many wrong letters, some lost; seen on photographed passports."""
    middle = median(line.box.height for line in lines)
    rate = rng.uniform(0.05, 0.4)
    read: list[Line] = []
    for line in lines:
        if line.box.height > middle or line.text.count("<") >= _FILLERS:
            read.append(line)
        elif not chance(rng, 0.15):
            text = "".join(
                rng.choice(("", *"aceinorstuEITl"))
                if sign.isalpha() and chance(rng, rate)
                else sign
                for sign in line.text.replace(" ", rng.choice((" ", "")))
            )
            read.append(replace(line, text=text or "i"))
    return read or list(lines)


def _torn(line: Line, rng: random.Random) -> Line:
    start = rng.randrange(max(1, len(line.text) - 12))
    text = line.text[start : start + rng.randint(6, 25)]
    return Line(text.replace("<", rng.choice(("<", "K", ""))) or "<", line.box, 0.7, line.page)


def feature_rows(pages: Sequence[LabelledPage]) -> NDArray[np.float64]:
    """The features of each page; shape (pages, features)."""
    return np.stack([features_of(page.lines, find_mrz(page.lines)) for page in pages])
