"""The machine-readable zone joins the model's reading of the printed zone.

What a check digit proves wins over the model. What no digit protects (names, states, sex) is taken
from the zone where the two differ, because OCR-B is read more surely than small print; a printed
name that the zone's spelling can stand for is kept, because it still has its diacritics; where the
model read another one, that name is looked for in the print. A filler
for the sex says less than a printed letter, and may be a letter that was not read.
"""

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from extraction.checks import zone_record
from extraction.confidence import zone_confidence
from extraction.document_types.base import DocumentType
from extraction.document_types.passport import Passport
from extraction.errors import InvalidMrz
from extraction.evidence import Evidence, EvidenceFinder, ReadField, Source
from extraction.lines import Line
from extraction.mrz import FoundMrz, transliterate
from extraction.mrz.layout import FILLER
from extraction.record import to_json

_PROTECTED = frozenset({"document_number", "date_of_birth", "date_of_expiry", "personal_number"})
_NAMES = frozenset({"surname", "given_names"})
# From here on a zone's name that the printed one begins with is that name, cut short.
_LEAST_BEGINNING = 11
_MOST_NAMES = 8  # words of a printed name
# Names with marks that our OCR read without a slip, of 41 on generated documents.
_MARKS_READ = 0.88
_LEAST_CUT = 4  # characters of a name that was cut, to find the whole one by
# Our field -> the zone's own name of the characters.
_SLOT = {
    "document_type": "document_code",
    "issuing_country": "issuing_state",
    "surname": "names",
    "given_names": "names",
    "personal_number": "optional_data",
}


def beside_zone(lines: Sequence[Line], found: FoundMrz | None) -> list[Line]:
    """The lines of a page without its zone's; a zone that was not found is known by its fillers."""
    of_zone = {id(line) for parts in (found.lines if found else ()) for line in parts}
    return [line for line in lines if id(line) not in of_zone and 2 * FILLER not in line.text]


def with_zone(
    fields: Mapping[str, ReadField],
    found: FoundMrz,
    document_type: DocumentType,
    lines: Sequence[Line] = (),
) -> dict[str, ReadField]:
    """The model's fields with those of the zone laid over them.

    Args:
        fields: what the model read, by path.
        found: the zone.
        document_type: with the asked fields; nothing else is added.
        lines: of the page, in whose print names are looked for.
    """
    # Lines of a zone that the model wrote are guesses beside those that were found.
    merged = {path: read for path, read in fields.items() if not path.startswith("mrz.lines.")}
    zone = zone_record(found.mrz)
    asked = set(document_type.field_names)
    proven = found.mrz.proven_fields
    beside = beside_zone(lines, found)
    has_digit = {digit.name for digit in found.mrz.digits}
    for name in Passport.model_fields:
        value = getattr(zone, name) if name != "mrz" else None
        if value is None or name not in asked:
            continue
        printed = merged.get(name)
        protected = name in _PROTECTED and name in has_digit
        zone_value = str(to_json(value))
        if _keeps_printed(name, printed, zone_value, found, is_protected=protected):
            continue
        confidence = zone_confidence(
            protected=protected, proven=name in proven, digits_agree=found.mrz.is_proven
        )
        if name in _NAMES and (print_ := _printed_name(zone_value, found, name, beside)):
            place = EvidenceFinder(beside).find(print_, document_type.field(name))
            sure = confidence if print_.isascii() else confidence * _MARKS_READ
            # In capitals, as the zone's names are.
            value = print_.upper()
            merged[name] = ReadField(name, value, print_, round(sure, 4), place, Source.LINES)
            continue
        merged[name] = ReadField(
            path=name,
            value=zone_value,
            raw=_raw(found, name),
            confidence=confidence,
            evidence=_place(found, name),
            source=Source.MRZ,
        )
    if "mrz" in asked:
        for index, line in enumerate(found.mrz.lines):
            path = f"mrz.lines.{index}"
            merged[path] = ReadField(
                path=path,
                value=line,
                raw=line,
                confidence=zone_confidence(
                    protected=True, proven=found.mrz.is_proven, digits_agree=True
                ),
                evidence=_line_place(found, index),
                source=Source.MRZ,
            )
    return merged


def as_sure_as_read(fields: Mapping[str, ReadField]) -> dict[str, ReadField]:
    """Fields whose zone was read without the OCR: no surer than the characters of their lines.

    What a check digit proves, it proves of single misreadings; here there are many, and one in ten
    of the digits agrees by chance.
    """
    return {
        path: replace(read, confidence=round(read.confidence * read.evidence.score, 4))
        if read.source is Source.MRZ and read.evidence is not None
        else read
        for path, read in fields.items()
    }


def _keeps_printed(
    name: str,
    printed: ReadField | None,
    zone_value: str,
    found: FoundMrz,
    *,
    is_protected: bool,
) -> bool:
    if printed is None or printed.value is None:
        return False
    if name in _NAMES:
        return _spells(str(printed.value), zone_value, is_cut=_is_cut(found, name))
    if name == "sex":
        return zone_value == "X"
    return is_protected and name not in found.mrz.proven_fields


def _is_cut(found: FoundMrz, name: str) -> bool:
    """Whether the zone may lack the end of a name: it has no room behind the last one."""
    raw = _raw(found, name)
    return not raw.endswith(FILLER) and not (name == "surname" and 2 * FILLER in raw)


def _printed_name(zone_value: str, found: FoundMrz, name: str, lines: Sequence[Line]) -> str | None:
    """The text of the print that the zone writes so; of a name that it cut, to the line's end."""
    is_cut = _is_cut(found, name)
    if is_cut and len(zone_value) < _LEAST_CUT:
        return None
    for line in lines:
        for text, rest in _runs(line.text):
            if _spells(text, zone_value, is_cut=is_cut):
                is_whole = not is_cut or not all(word.isalpha() for word in rest.split())
                return text if is_whole else f"{text} {rest}".strip()
    return None


def _runs(text: str) -> Iterator[tuple[str, str]]:
    """Runs of the words of a line, short ones first, and what comes behind each."""
    words = text.split()
    for count in range(1, min(len(words), _MOST_NAMES) + 1):
        for first in range(len(words) - count + 1):
            yield " ".join(words[first : first + count]), " ".join(words[first + count :])


def _spells(printed: str, zone: str, *, is_cut: bool) -> bool:
    """Whether the zone may write the printed name so: Ü as UE or as U, whole or truncated.

    Args:
        printed: the name with its diacritics.
        zone: the zone's words.
        is_cut: the zone's names fill their line, so that the last one may lack its end.
    """
    if FILLER in printed:  # no print has it: that is the zone itself, copied
        return False
    there = zone.replace(" ", "")
    least = 1 if is_cut else _LEAST_BEGINNING
    return any(
        here == there or (len(there) >= least and here.startswith(there))
        for here in _spellings(printed)
    )


def _spellings(printed: str) -> set[str]:
    bare = unicodedata.normalize("NFKD", printed)
    plain = "".join(letter for letter in bare if not unicodedata.combining(letter))
    spellings = set[str]()
    for text in (printed, plain):
        try:
            spellings.add(transliterate(text).replace("<", ""))
        except InvalidMrz:  # a script that the zone cannot write
            continue
    return spellings - {""}


def _slot_name(found: FoundMrz, name: str) -> str:
    """France's old card has its names apart."""
    return name if found.mrz.format.has_slot(name) else _SLOT.get(name, name)


def _raw(found: FoundMrz, name: str) -> str:
    slot_name = _slot_name(found, name)
    if not found.mrz.format.has_slot(slot_name):
        return "\n".join(found.mrz.lines)
    return found.mrz.format.slot(slot_name).span.of(found.mrz.lines)


def _place(found: FoundMrz, name: str) -> Evidence | None:
    slot_name = _slot_name(found, name)
    if not found.mrz.format.has_slot(slot_name):
        return None
    return _line_place(found, found.mrz.format.slot(slot_name).span.line)


def _line_place(found: FoundMrz, index: int) -> Evidence | None:
    lines = found.lines[index] if index < len(found.lines) else ()
    if not lines:
        return None
    box = lines[0].box.union(*(line.box for line in lines[1:]))
    text = "".join(line.text for line in lines)
    return Evidence(lines[0].page, box, text, score=min(line.score for line in lines))
