"""OCR confusions in a zone, and the repairs that something proves.

Three things prove a repair: the alphabet of a position (a name has no digits), the width of a line
(fillers are counted wrongly, but their number follows from the width), and the check digits. What
nothing proves stays as it was read, and its check digit says fail.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from itertools import combinations, product

from extraction.mrz.codes import state_codes
from extraction.mrz.layout import FILLER, Alphabet, Digit, MrzFormat, Slot
from extraction.mrz.parse import agrees

NAME_SLOTS = frozenset({"names", "surname", "given_names"})
TO_LETTER = {"0": "O", "1": "I", "2": "Z", "5": "S", "6": "G", "8": "B"}
TO_DIGIT = dict(zip("OQDILZSGB", "000112568", strict=True))
# Of M, F and the filler, the only one that each of these resembles.
TO_SEX = (
    dict.fromkeys("PEIT17", "F") | dict.fromkeys("NHW", "M") | dict.fromkeys("KCL", FILLER)
)  # fmt: skip
# Where letters and digits both stand, each can be the other, and a filler reads as C. K, A and U
# count as a filler does, modulo 10, so no check digit tells them apart.
_EITHER = {
    "0": "O",
    "O": "0",
    "Q": "0",
    "D": "0",
    "1": "I",
    "I": "1",
    "L": "1",
    "2": "Z",
    "Z": "2",
    "5": "S",
    "S": "5",
    "6": "G",
    "G": "6",
    "8": "B",
    "B": "8",
    "C": "<",
}
_CODES_MISREAD = {"PK": "P<", "PC": "P<", "P0": "PO", "I0": "ID", "IO": "ID"}
# Letters of a state's code that are taken for each other.
_CODE_LIKE = {
    "O": "DQ",
    "D": "O",
    "Q": "O",
    "C": "G",
    "G": "C",
    "E": "F",
    "F": "E",
    "I": "L",
    "L": "I",
    "U": "V",
    "V": "U",
}
# What fillers are read as.
_FILLER_LIKE = frozenset("KCLXSE")
_RUN_AT_END = re.compile(r"(?:CCC|KKK)[CK<]*$")
_MOST_UNITS = 2
_LONGEST_UNIT_LIST = 24


class Proof(StrEnum):
    """What proves a repair."""

    ALPHABET = "alphabet"  # the position cannot hold what was read
    STRUCTURE = "structure"  # what parts names, and what fills a field up, cannot hold it
    WIDTH = "width"  # the line's width fixes how many fillers there are
    CODE_LIST = "code list"  # Doc 9303 has one code that this can be
    PRINTED = "printed zone"  # the names stand elsewhere on the page, and nothing else is left
    CHECK_DIGIT = "check digit"  # the field's digit and the composite agree with this alone


@dataclass(frozen=True, slots=True)
class Repair:
    """A change to what was read.

    Attributes:
        line: index of the zone's line.
        position: index in the repaired line.
        before: what was read; empty where fillers were missing.
        after: what stands there now; empty where fillers were surplus.
        proof: what proves it.
    """

    line: int
    position: int
    before: str
    after: str
    proof: Proof


@cache
def alphabets(format_: MrzFormat, line: int) -> tuple[Alphabet, ...]:
    """What each position of a line can hold."""
    found = [Alphabet.DIGITS] * format_.width  # what no slot covers is a check digit
    for slot in format_.slots:
        if slot.span.line == line:
            for position in range(slot.span.start, slot.span.end):
                found[position] = slot.alphabet
    if line == 0:
        found[1] = Alphabet.BOTH  # states use digits too: C1USA
    return tuple(found)


def by_alphabet(format_: MrzFormat, line: int, text: str) -> tuple[str, list[Repair]]:
    """`text` with every character in its position's alphabet, where a look-alike is."""
    repairs = []
    characters = list(text)
    tables: dict[Alphabet, dict[str, str]] = {
        Alphabet.LETTERS: TO_LETTER,
        Alphabet.DIGITS: TO_DIGIT,
        Alphabet.SEX: TO_SEX,
        Alphabet.BOTH: {},
    }
    for position, alphabet in enumerate(alphabets(format_, line)[: len(text)]):
        before = text[position]
        after = tables[alphabet].get(before, before)
        if after != before:
            characters[position] = after
            repairs.append(Repair(line, position, before, after, Proof.ALPHABET))
    return "".join(characters), repairs


def violations(format_: MrzFormat, line: int, text: str) -> int:
    """How many characters stand where their kind cannot."""
    count = 0
    for character, alphabet in zip(text, alphabets(format_, line), strict=True):
        if character == FILLER:
            continue
        match alphabet:
            case Alphabet.LETTERS:
                count += not character.isalpha()
            case Alphabet.DIGITS:
                count += not character.isdigit()
            case Alphabet.SEX:
                count += character not in "MFX"
            case _:
                pass
    return count


def by_structure(format_: MrzFormat, lines: Sequence[str]) -> tuple[tuple[str, ...], list[Repair]]:
    """Fillers that were read as letters where only a filler can be, and codes off the list.

    Two fillers part the identifiers once, and one parts the names of each, so behind three fillers,
    or behind the second pair, nothing but fillers follows; the same letters alone between fillers
    of an optional field are no data.
    """
    rows = list(lines)
    repairs: list[Repair] = []
    for slot in format_.slots:
        before = slot.span.of(rows)
        proof = Proof.STRUCTURE
        if slot.name in NAME_SLOTS:
            after = _without_tail_noise(before)
        elif slot.name.startswith("optional_data"):
            after = _without_lone_noise(before)
        elif slot.name in {"issuing_state", "nationality"}:
            after, proof = _listed_code(before), Proof.CODE_LIST
        elif slot.name == "document_code":
            # Doc 9303-4, 4.2.2.1 lists the second letters of a passport: K and C are none of them,
            # and O is an official's.
            after = _CODES_MISREAD.get(before, before)
            proof = Proof.CODE_LIST
        else:
            continue
        _write(rows, repairs, slot, after, proof)
    return tuple(rows), repairs


def by_print(
    format_: MrzFormat, lines: Sequence[str], words: Collection[str]
) -> tuple[tuple[str, ...], list[Repair]]:
    """Fillers that were read as letters beside names that are printed elsewhere on the page.

    Args:
        format_: the zone's format.
        lines: the zone.
        words: what is printed on the page, transliterated.

    Only where the field begins with a printed word and everything but printed words in it is
    fillers and what fillers are read as.
    """
    rows = list(lines)
    repairs: list[Repair] = []
    for slot in format_.slots:
        if slot.name in NAME_SLOTS:
            before = slot.span.of(rows)
            _write(rows, repairs, slot, _only_printed(before, words), Proof.PRINTED)
    return tuple(rows), repairs


def _only_printed(text: str, words: Collection[str]) -> str:
    covered = [False] * len(text)
    for word in sorted(words, key=lambda item: (-len(item), item)):
        start = text.find(word)
        while start >= 0:
            if not any(covered[start : start + len(word)]):
                covered[start : start + len(word)] = [True] * len(word)
            start = text.find(word, start + 1)
    rest = [text[i] for i in range(len(text)) if not covered[i] and text[i] != FILLER]
    if not covered[0] or not rest or not _FILLER_LIKE.issuperset(rest):
        return text
    if len(rest) == 1 and rest[0] not in "CK":
        return text  # the end of a name whose print was read without it
    return "".join(text[i] if covered[i] else FILLER for i in range(len(text)))


def _write(rows: list[str], repairs: list[Repair], slot: Slot, after: str, proof: Proof) -> None:
    span = slot.span
    before = span.of(rows)
    repairs += [
        Repair(span.line, span.start + index, old, new, proof)
        for index, (old, new) in enumerate(zip(before, after, strict=True))
        if old != new
    ]
    rows[span.line] = rows[span.line][: span.start] + after + rows[span.line][span.end :]


def _without_tail_noise(text: str) -> str:
    primary, pair, rest = text.partition(FILLER * 2)
    if not rest.startswith(FILLER):
        secondary, second_pair, rest = rest.partition(FILLER * 2)
        pair += secondary + second_pair
    noise = rest.replace(FILLER, "")
    if noise and _FILLER_LIKE.issuperset(noise):
        # Where fillers are read as letters, a lone such letter before them is one more.
        kept = re.sub(r"<[CK]<*$", "", primary + pair)
        return kept.ljust(len(text), FILLER)
    # No name has one consonant three times, so a field that ends in such runs ends in fillers.
    cut = _RUN_AT_END.sub("", text)
    return cut.ljust(len(text), FILLER)


def _without_lone_noise(text: str) -> str:
    padded = FILLER * 2 + text + FILLER * 2
    return "".join(
        FILLER
        if text[i] in "KCL" and padded[i : i + 2] == padded[i + 3 : i + 5] == FILLER * 2
        else text[i]
        for i in range(len(text))
    )


def _listed_code(text: str) -> str:
    """The one code of Doc 9303's list that was read as `text`, or `text`."""
    code = text.rstrip(FILLER)
    if code in state_codes() or not code:
        return text
    shorter = text[0] + "".join(FILLER if c in "KC<" else c for c in text[1:])
    options = {shorter} | {
        part[:i] + new + part[i + 1 :]
        for part in (text, shorter)
        for i, old in enumerate(part)
        for new in _CODE_LIKE.get(old, "")
    }
    listed = {option for option in options if option.rstrip(FILLER) in state_codes()}
    return listed.pop() if len(listed) == 1 else text


def by_check_digit(
    format_: MrzFormat, lines: Sequence[str]
) -> tuple[tuple[str, ...], list[Repair]]:
    """The one repair with fewest changes that makes every check digit agree.

    Tried in the alphanumeric fields alone. A unit of change is a character, or a whole run of the
    same one (OOOO for 0000); in each field one unit, or two where both were read as letters. With
    no such repair, or with several of the same size, `lines` come back as they are. A visa has
    no composite, and one digit is met by chance too often: there no second repair may exist.
    """
    failing = [digit for digit in format_.digits if not agrees(format_, digit, lines)]
    if not failing:
        return tuple(lines), []
    own = [digit for digit in failing if digit.name != "composite"]
    slots = [slot for digit in own if (slot := _slot_of(format_, digit)) is not None]
    if len(slots) != len(own):
        return tuple(lines), []  # a date fails: nothing here can make the composite agree
    if not own:
        slots = _only_composite(format_)
    options = [list(_rewrites(format_, slot, lines, own)) for slot in slots]
    has_composite = format_.digits[-1].name == "composite"
    best: list[tuple[str, ...]] = []
    fewest = 0
    for choice in sorted(product(*options), key=lambda parts: sum(cost for cost, _ in parts)):
        cost = sum(part for part, _ in choice)
        if best and cost > fewest and has_composite:
            break
        rows = list(lines)
        for slot, (_, text) in zip(slots, choice, strict=True):
            _write(rows, [], slot, text, Proof.CHECK_DIGIT)
        if cost and all(agrees(format_, digit, rows) for digit in format_.digits):
            best.append(tuple(rows))
            fewest = fewest or cost
    if len(best) != 1:
        return tuple(lines), []
    return best[0], differences(lines, best[0], Proof.CHECK_DIGIT)


def differences(before: Sequence[str], after: Sequence[str], proof: Proof) -> list[Repair]:
    """The characters in which lines of the same shape differ."""
    return [
        Repair(line, position, old, new, proof)
        for line, pair in enumerate(zip(before, after, strict=True))
        for position, (old, new) in enumerate(zip(*pair, strict=True))
        if old != new
    ]


def _slot_of(format_: MrzFormat, digit: Digit) -> Slot | None:
    """The alphanumeric field that a check digit is for."""
    name = "optional_data" if digit.name == "personal_number" else digit.name
    slot = format_.slot(name) if format_.has_slot(name) else None
    return slot if slot is not None and slot.alphabet is Alphabet.BOTH else None


def _only_composite(format_: MrzFormat) -> list[Slot]:
    """The alphanumeric fields that no digit but the composite covers."""
    covered = (
        {"optional_data"} if any(d.name == "personal_number" for d in format_.digits) else set()
    )
    return [s for s in format_.slots if s.name.startswith("optional") and s.name not in covered]


def _rewrites(
    format_: MrzFormat, slot: Slot, lines: Sequence[str], own: Sequence[Digit]
) -> Iterator[tuple[int, str]]:
    """Readings of a field that satisfy its own check digit, each with its number of units."""
    text = slot.span.of(lines)
    digit = next((item for item in own if _slot_of(format_, item) is slot), None)
    if digit is None:
        yield 0, text  # the composite is its only digit, and it may be right as it is
    units = list(_units(text))[:_LONGEST_UNIT_LIST]
    for count in range(1, _MOST_UNITS + 1):
        for chosen in combinations(units, count):
            if any(a[0] < b[1] and b[0] < a[1] for a, b in combinations(chosen, 2)):
                continue  # they overlap
            if count > 1 and any(text[start].isdigit() for start, _, _ in chosen):
                continue  # pairs of digits are many, and one meets two check digits by chance
            rewritten = text
            for start, end, new in chosen:
                rewritten = rewritten[:start] + new * (end - start) + rewritten[end:]
            rows = list(lines)
            _write(rows, [], slot, rewritten, Proof.CHECK_DIGIT)
            if digit is None or agrees(format_, digit, rows):
                yield sum(_unit_cost(text[start]) for start, _, _ in chosen), rewritten


def _unit_cost(read: str) -> int:
    """Numbers are mostly digits, so a letter read for a digit is likelier than the reverse."""
    return 3 if read.isdigit() else 2


def _units(text: str) -> Iterator[tuple[int, int, str]]:
    """Places that may be confusions: start, end and what may stand there."""
    start = 0
    while start < len(text):
        end = start + 1
        while end < len(text) and text[end] == text[start]:
            end += 1
        for new in _EITHER.get(text[start], ""):
            if new == FILLER and text[end : end + 1] not in {"", FILLER}:
                continue  # fillers fill up, nothing follows them
            yield start, end, new
            if end - start > 1:
                for position in range(start, end):
                    yield position, position + 1, new
        start = end
