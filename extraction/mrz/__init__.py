"""The machine-readable zone of ICAO Doc 9303: write it, parse it, find and repair it in OCR."""

from extraction.mrz.find import FoundMrz, find_mrz
from extraction.mrz.layout import MrzFormat, check_digit
from extraction.mrz.parse import DigitVerdict, Mrz, MrzFields, parse_mrz
from extraction.mrz.repair import Proof, Repair
from extraction.mrz.write import build_mrz, transliterate

__all__ = [
    "DigitVerdict",
    "FoundMrz",
    "Mrz",
    "MrzFields",
    "MrzFormat",
    "Proof",
    "Repair",
    "build_mrz",
    "check_digit",
    "find_mrz",
    "parse_mrz",
    "transliterate",
]
