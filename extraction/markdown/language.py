"""Which language a text is in, by its script and its commonest words; None where that is unclear.

For the front matter of a page that no model has read. Twelve Latin and three Cyrillic languages are
told apart by function words that the others lack; other scripts stand for one language each.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from typing import Final

_LEAST_WORDS: Final = 4
_LEAD: Final = 1.3
_LEAST_LETTERS: Final = 12
_WORD = re.compile(r"[^\W\d_]+")
_WORDS: Final = {
    "en": "the of and to in is that for with on are as this by be from have not which was",
    "de": "der die und das ist mit den von zu für nicht ein eine auf dem des im sich als wird",
    "fr": "les des est une dans pour que qui sur par avec pas du au aux sont cette ou ces et",
    "es": "los las una por con para del que es se no como más su este pero al sus entre y",
    "pt": "os das uma por com para do da que não em são como mais dos na no ao pela e",
    "it": "gli della che per una con di è sono non nel alla come anche più dei del il si le",
    "nl": "het een van en dat niet zijn met voor op aan ook door worden bij naar deze is de",
    "pl": "się nie jest na do że przez oraz dla jak od po lub jego które był są to w z",
    "sv": "och att det som på är för av inte med den till har ett om vid från kan var i",
    "da": "og at det som på er for af ikke med den til har et om ved fra kan var i blev også",
    "tr": "ve bir bu için ile olarak daha çok olan gibi kadar sonra değil veya ise her de da",
    "id": "dan yang di dari untuk dengan ini pada tidak dalam adalah atau itu oleh akan juga",
    "ru": "и в не на что с по это как из для от был к его но или также при они",  # noqa: RUF001
    "uk": "і в не на що з та це як із для від був до його але або також при вони є",  # noqa: RUF001
    "bg": "и в не на че с по това като от за е са се да ще или също при те",  # noqa: RUF001
}
_LISTS = {language: frozenset(words.split()) for language, words in _WORDS.items()}
_SCRIPTS: Final = {
    "HIRAGANA": "ja",
    "KATAKANA": "ja",
    "HANGUL": "ko",
    "CJK": "zh",
    "ARABIC": "ar",
    "HEBREW": "he",
    "GREEK": "el",
    "THAI": "th",
    "DEVANAGARI": "hi",
}


def language_of(texts: Iterable[str]) -> str | None:
    """The ISO 639-1 code of the language of most of the texts; None where it is unclear."""
    text = " ".join(texts).casefold()
    letters = [letter for letter in text if letter.isalpha()]
    if len(letters) < _LEAST_LETTERS:
        return None
    if language := _by_script(letters):
        return language
    words = Counter(_WORD.findall(text))
    scores = {language: sum(words[word] for word in listed) for language, listed in _LISTS.items()}
    (best, count), (_, second) = Counter(scores).most_common(2)
    return best if count >= _LEAST_WORDS and count >= _LEAD * second else None


def _by_script(letters: list[str]) -> str | None:
    found: Counter[str] = Counter()
    for letter in letters:
        if letter.isascii():
            continue
        script = unicodedata.name(letter, "").split(" ")[0]
        if script in _SCRIPTS:
            found[_SCRIPTS[script]] += 1
    if sum(found.values()) * 2 < len(letters):
        return None
    # Japanese is mostly written in Chinese characters, and no Chinese text has its syllables.
    return "ja" if found["ja"] * 20 > sum(found.values()) else found.most_common(1)[0][0]
