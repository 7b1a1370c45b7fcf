"""What a travel document's print cannot have said is no value of it.

    leaves -> a date of issue that is another field's date: the one date that no field has
    fields -> without what is the zone's, what stands nowhere, and second uses of one print

A small model that finds no place of birth on a card answers with a piece of the machine-readable
zone, or with the date that is another field's. The zone says nothing of these fields, and one print
gives one value. So a value that the zone does not carry must stand in the print, and where more
fields have a value than it is printed, only the surest keep it. The rules were chosen on generated
documents (`docs/model-card.md`).
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from extraction.checks import zone_record
from extraction.document_types.base import FieldSpec
from extraction.document_types.passport import PASSPORT
from extraction.evidence import Evidence, EvidenceFinder, ReadField, Source
from extraction.grounding import moved
from extraction.lines import Line
from extraction.mrz import FoundMrz
from extraction.normalize import parse_date
from extraction.places import whole_dates
from extraction.record import RawLeaf
from extraction.spelling import copies_lines
from extraction.traits import ModelTraits
from extraction.zone import beside_zone

# What a page prints beside the zone; the zone of some formats carries one or the other of them.
_BESIDE_ZONE = (
    "place_of_birth",
    "date_of_issue",
    "place_of_issue",
    "issuing_authority",
    "personal_number",
)
# Any of these may say the same as one of those, on one print or on two.
_PRINTED = frozenset(PASSPORT.field_names) - {"mrz"}
_DATES = frozenset({"date_of_birth", "date_of_issue", "date_of_expiry"})
_STATES = frozenset({"issuing_country", "nationality"})
_TWICE = 2


def with_own_dates(
    leaves: Sequence[RawLeaf],
    places: Mapping[str, Evidence | None],
    finder: EvidenceFinder,
    zone: FoundMrz | None,
) -> tuple[list[RawLeaf], dict[str, Evidence | None]]:
    """An answer whose date of issue is the holder's birth or the expiry has the date that is left.

    Args:
        leaves: the values as the model wrote them.
        places: where each stands, by path.
        finder: of the page's lines.
        zone: the zone, for its two dates.

    Returns:
        As many leaves, and their places; unchanged unless the page prints exactly one date that is
        neither, and not before the birth or after the expiry.
    """
    known = zone_record(zone.mrz) if zone else None
    dates = {leaf.path: parse_date(leaf.raw) for leaf in leaves if leaf.path in _DATES}
    birth = getattr(known, "date_of_birth", None) or dates.get("date_of_birth")
    expiry = getattr(known, "date_of_expiry", None) or dates.get("date_of_expiry")
    taken, after = {birth, expiry} - {None}, list(leaves)
    for index, leaf in enumerate(leaves):
        if leaf.path != "date_of_issue" or dates.get(leaf.path) not in taken:
            continue
        texts = {
            parse_date(text): text
            for line in finder.lines
            for text in reversed(whole_dates(line.text))
        }
        left = [day for day in texts if day is not None and day not in taken]
        if finder.count(leaf.raw, leaf.spec) < _TWICE and len(left) == 1:
            (day,) = left
            if (birth or day) <= day <= (expiry or day):
                after[index] = replace(leaf, raw=texts[day])
    return after, moved(leaves, after, places, finder)


def printed_only(
    fields: Mapping[str, ReadField],
    lines: Sequence[Line],
    zone: FoundMrz | None,
    traits: ModelTraits,
) -> dict[str, ReadField]:
    """The fields of a travel document without the values that its print does not support.

    Args:
        fields: as read, those of the zone among them.
        lines: of the page; where there are none, nothing is known of the print.
        zone: the zone that was found on it.
        traits: of the model that answered. One that reads the page itself may see more than the
            lines, so its values need only not be the zone's.
    """
    if not lines:
        return dict(fields)
    page_print = EvidenceFinder(beside_zone(lines, zone))
    known = zone_record(zone.mrz) if zone else None
    kept = dict(fields)
    for name in _BESIDE_ZONE:
        read = fields.get(name)
        if read is None or not _is_answer(read) or getattr(known, name, None) is not None:
            continue
        place = page_print.find(read.raw or "", _spec(name))
        if read.evidence is None:
            is_supported = place is not None or not copies_lines(traits)
        else:  # where the print is less like it than another line, that line is the zone's
            is_supported = place is not None and place.similarity >= read.evidence.similarity
        if not is_supported:
            del kept[name]
    return _without_second_uses(kept, page_print)


def _without_second_uses(
    fields: dict[str, ReadField], page_print: EvidenceFinder
) -> dict[str, ReadField]:
    """Where more fields have a value than it is printed, the least sure of them lose it."""
    users: dict[str, list[ReadField]] = defaultdict(list)
    for name in sorted(_PRINTED & fields.keys()):
        if fields[name].value is not None:
            users[_folded(fields[name].value)].append(fields[name])
    kept = dict(fields)
    for reads in users.values():
        may_go = [read for read in reads if read.path in _BESIDE_ZONE and _is_answer(read)]
        if len(reads) == 1 or not may_go:
            continue
        prints = max(page_print.count(read.raw or "", _spec(read.path)) for read in may_go)
        # A state's code is often printed once, for both.
        wanted = len(reads) - ({read.path for read in reads} >= _STATES)
        surplus = max(wanted - max(prints, 1), 0)
        for read in sorted(may_go, key=lambda read: (_is_of_kind(read), read.confidence))[:surplus]:
            del kept[read.path]
    return kept


def _is_of_kind(read: ReadField) -> bool:
    """Whether a date is a date field's."""
    return read.path in _DATES or not whole_dates(read.raw or "")


def _is_answer(read: ReadField) -> bool:
    return read.source is Source.MODEL and read.value is not None


def _spec(name: str) -> FieldSpec:
    return PASSPORT.field(name)


def _folded(value: object) -> str:
    """Letters and digits alone; a date in whatever form as YYYYMMDD."""
    text = str(value)
    day = parse_date(text) if whole_dates(text) else None
    return "".join(letter for letter in str(day or text).casefold() if letter.isalnum())
