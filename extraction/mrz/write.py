"""Writes a machine-readable zone: transliteration, truncation, check digits."""

import unicodedata
from datetime import date

from extraction.errors import InvalidMrz
from extraction.mrz.layout import FILLER, NUMBER_WIDTH, MrzFormat, check_digit

# Doc 9303-3, section 6, tables A (Latin) and B (Cyrillic): where the table is not "drop the
# accent". Of several recommended forms, the one that most states print (Ä as AE, not A).
_PAIRS = """
Ä AE  Å AA  Æ AE  Ð D  Đ D  Ħ H  ı I  Ĳ IJ  ĸ Q  Ł L  Ŀ L  Ŋ N  Ö OE  Ø OE  Œ OE  Þ TH
Ŧ T  Ü UE  ẞ SS  Ə E
А A  Б B  В V  Г G  Ґ G  Д D  Е E  Ё E  Є IE  Ж ZH  З Z  И I  І I  Ї I  Й I  К K  Л L  М M
Н N  О O  П P  Р R  С S  Т T  У U  Ў U  Ф F  Х KH  Ц TS  Ч CH  Ш SH  Щ SHCH  Ъ IE  Ы Y
Э E  Ю IU  Я IA  Ђ D  Ѓ G  Ѕ DZ  Ј J  Љ LJ  Њ NJ  Ћ C  Ќ K  Џ DZ
"""  # noqa: RUF001 - two alphabets are the point
_PARTS = _PAIRS.split()
_TABLE = dict(zip(_PARTS[::2], _PARTS[1::2], strict=True)) | {"\u042c": ""}  # the soft sign
# Doc 9303-3, 4.6: hyphens become fillers, apostrophes vanish, commas separate.
_SEPARATORS = frozenset("-\u2010\u2011\u2012\u2013\u2014,/ \t\n<")
_SILENT = frozenset("'\u2018\u2019\u02bc`\u00b4.\u00b7()\"")
_SHORTEST_SECONDARY = 3  # two fillers and an initial


def transliterate(text: str) -> str:
    """`text` in the zone's letters, words joined by one filler (Doc 9303-3, 4.6 and 6).

    Raises:
        InvalidMrz: a character for which the document's tables have no letter.
    """
    words: list[str] = [""]
    upper = unicodedata.normalize("NFC", text).replace("ß", "ẞ").upper()
    for character in upper:
        if character in _SEPARATORS:
            words.append("")
        elif character not in _SILENT:
            words[-1] += _letters(character)
    return FILLER.join(word for word in words if word)


def _letters(character: str) -> str:
    if character in _TABLE:
        return _TABLE[character]
    plain = unicodedata.normalize("NFKD", character)
    plain = "".join(part for part in plain if not unicodedata.combining(part))
    if plain != character and plain:
        return "".join(_letters(part) for part in plain)
    if character.isascii() and character.isalnum():
        return character
    if unicodedata.category(character)[0] in "CM":
        return ""
    raise InvalidMrz("a name holds characters that Doc 9303 has no transliteration for")


def build_mrz(
    format: MrzFormat,  # noqa: A002 - the field's term
    *,
    document_code: str,
    issuing_state: str,
    surname: str,
    given_names: str,
    document_number: str,
    nationality: str,
    date_of_birth: date | str | None,
    sex: str,
    date_of_expiry: date | str | None,
    optional_data: str = "",
    optional_data_2: str = "",
    empty_check: str = FILLER,
) -> tuple[str, ...]:
    """The lines of a zone with its check digits, as Doc 9303 parts 4 to 7 lay them out.

    Args:
        format: TD1, TD2, TD3, MRV_A or MRV_B.
        document_code: one or two letters, as "P" or "ID".
        issuing_state: one to three letters of Doc 9303-3, 5, as "UTO" or "D".
        surname: primary identifier in any script of Doc 9303-3's tables; it is transliterated,
            and truncated where the line is too short.
        given_names: secondary identifier, may be empty.
        document_number: at most 9 characters; in TD1 and TD2 a longer one runs on in the
            optional data, after a filler in place of its check digit.
        nationality: as issuing_state.
        date_of_birth: a date, or six characters YYMMDD of digits and fillers, or None if unknown.
        sex: "M", "F", or "X" (written as a filler).
        date_of_expiry: as date_of_birth.
        optional_data: the personal number in TD3.
        optional_data_2: TD1 alone, second line.
        empty_check: check digit of an empty personal number in TD3: states print "<" or "0".

    Raises:
        InvalidMrz: a value that does not fit, or has characters that a zone cannot hold.
    """
    heading = _code(document_code, 2, "document code") + _code(issuing_state, 3, "issuing state")
    nation = _code(nationality, 3, "nationality")
    number, spilled = _number(document_number)
    if spilled and format not in {MrzFormat.TD1, MrzFormat.TD2}:
        raise InvalidMrz(f"a document number of {format} has at most 9 characters")
    birth, expiry = _with_check(_six(date_of_birth)), _with_check(_six(date_of_expiry))
    gender = {"M": "M", "F": "F", "X": FILLER, FILLER: FILLER, "": FILLER}.get(sex.upper())
    if gender is None:
        raise InvalidMrz("sex is M, F or X")
    optional = spilled + _characters(optional_data)
    if format is MrzFormat.FRA_ID:
        raise InvalidMrz("France's former identity card is read, not written")
    if format is MrzFormat.TD1:
        upper = heading + number + _pad(optional, 15, "optional data")
        middle = birth + gender + expiry + nation
        middle += _pad(_characters(optional_data_2), 11, "second optional data")
        composite = check_digit(upper[5:30] + middle[0:7] + middle[8:15] + middle[18:29])
        return upper, middle + composite, _names(surname, given_names, 30)
    width = format.width
    upper = heading + _names(surname, given_names, width - 5)
    lower = number + nation + birth + gender + expiry
    if format in {MrzFormat.MRV_A, MrzFormat.MRV_B}:
        return upper, lower + _pad(optional, width - 28, "optional data")
    if format is MrzFormat.TD3:
        personal = _pad(optional, 14, "personal number")
        lower += personal + (check_digit(personal) if optional else empty_check)
    else:
        lower += _pad(optional, 7, "optional data")
    return upper, lower + check_digit(lower[0:10] + lower[13:20] + lower[21:])


def _names(surname: str, given_names: str, width: int) -> str:
    """Both identifiers in `width` characters, truncated as in Doc 9303-4, 4.2.3."""
    primary, secondary = transliterate(surname), transliterate(given_names)
    if not primary and secondary:
        primary, secondary = secondary, ""  # a single name stands as the primary identifier
    if not primary:
        raise InvalidMrz("a zone needs a name")
    whole = f"{primary}<<{secondary}" if secondary else primary
    if len(whole) <= width:
        return whole.ljust(width, FILLER)
    if not secondary:
        return _ending_in_letter(primary, width)
    primary = primary[: width - _SHORTEST_SECONDARY].rstrip(FILLER)
    return _ending_in_letter(f"{primary}<<{secondary}", width)


def _ending_in_letter(text: str, width: int) -> str:
    """`text` cut to `width` with a letter at the end, the sign that something was cut."""
    cut = text[:width]
    if cut.endswith(FILLER):
        # A character of the component before gives way to the initial of the one after.
        return cut[:-2] + FILLER + text[width]
    return cut


def _number(number: str) -> tuple[str, str]:
    """The number's ten characters with check digit, and what runs on in the optional data."""
    text = _characters(number)
    if not text:
        return FILLER * NUMBER_WIDTH + "0", ""
    if len(text) <= NUMBER_WIDTH:
        return _with_check(_pad(text, NUMBER_WIDTH, "document number")), ""
    rest = text[NUMBER_WIDTH:] + check_digit(text) + FILLER
    return text[:NUMBER_WIDTH] + FILLER, rest


def _code(text: str, width: int, what: str) -> str:
    code = text.upper().strip(FILLER)
    if not (code.isascii() and code.isalpha()):
        raise InvalidMrz(f"the {what} is letters only")
    return _pad(code, width, what)


def _six(value: date | str | None) -> str:
    if value is None:
        return FILLER * 6
    if isinstance(value, date):
        return value.strftime("%y%m%d")
    if len(value) != len("YYMMDD") or not all(c in "0123456789<" for c in value):
        raise InvalidMrz("a date is six digits or fillers, YYMMDD")
    return value


def _characters(text: str) -> str:
    """A number in the zone's characters: upper case, anything but A-Z and 0-9 a filler."""
    return "".join(c if c.isascii() and c.isalnum() else FILLER for c in text.upper())


def _pad(text: str, width: int, what: str) -> str:
    if len(text) > width:
        raise InvalidMrz(f"the {what} has {len(text)} characters, and {width} fit")
    return text.ljust(width, FILLER)


def _with_check(text: str) -> str:
    return text + check_digit(text)
