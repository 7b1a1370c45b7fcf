"""Passports, identity cards and visas of invented people, with a zone as ICAO Doc 9303 asks."""

import random
from typing import Any

from extraction.mrz import MrzFormat
from trainer.synth.degrade import degrade
from trainer.synth.document import SyntheticDocument
from trainer.synth.holders import make_travel_document
from trainer.synth.passport_page import draw_page


def make_passport(rng: random.Random, *, mrz_format: MrzFormat | None = None) -> SyntheticDocument:
    """One data page: image, true lines, and the record as printed (keys of the type `passport`).

    Args:
        rng: the only source of randomness.
        mrz_format: TD3, TD1, TD2, MRV_A or MRV_B; drawn at random, mostly TD3, where it is None.

    Returns:
        The page; `record` holds the printed zone, and under "mrz" as {"lines": [...]} the
        true lines of the machine-readable zone.
    """
    document = make_travel_document(rng, mrz_format)
    image, lines, printed = draw_page(rng, document)
    image, lines = degrade(image, lines, rng, strength=0.8)
    record: dict[str, Any] = {**printed, "mrz": {"lines": list(document.mrz)}}
    return SyntheticDocument("passport", image, lines, record)
