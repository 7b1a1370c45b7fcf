"""Words that tell one kind of document from another, in the languages of receipts and passports.

The terms stand in `page_words.toml`. They match folded text (lower case, no accents), and a space
in a term may be missing on the page, because OCR runs words together. A Latin term of five letters
or more counts inside a longer word as well (`gesamtbetrag`), a shorter one only as a word of its
own; other scripts count anywhere.
"""

import re
import tomllib
import unicodedata
from collections.abc import Mapping, Sequence
from importlib.resources import files

_WHOLE_WORD_LENGTH = 4
_SPACES = re.compile(r"\s+")


def folded(text: str) -> str:
    """Lower case without accents, one space between words."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    plain = "".join(character for character in plain if not unicodedata.combining(character))
    return _SPACES.sub(" ", plain)


def _pattern(terms: Sequence[str]) -> re.Pattern[str]:
    parts = []
    for term in sorted({folded(term) for term in terms}):
        body = re.escape(term).replace(r"\ ", " ?")
        is_short = term.isascii() and len(term.replace(" ", "")) <= _WHOLE_WORD_LENGTH
        parts.append(rf"(?<![a-z]){body}(?![a-z])" if is_short else body)
    return re.compile("|".join(parts))


def _load() -> dict[str, re.Pattern[str]]:
    source = files("extraction").joinpath("page_words.toml").read_text(encoding="utf-8")
    return {group: _pattern(terms) for group, terms in tomllib.loads(source).items()}


# Group of words -> what finds one of them in folded text.
WORDS: Mapping[str, re.Pattern[str]] = _load()
