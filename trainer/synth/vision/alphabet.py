"""The characters that the pages carry: what a reader of these pages can learn."""

from unicodedata import normalize

ASCII = "".join(map(chr, range(33, 127)))
# German, French, Spanish, Portuguese, Italian, Dutch, the Nordic and the Baltic languages, Polish,
# Czech, Slovak, Slovene, Croatian, Hungarian, Romanian, Turkish, Welsh, Maltese.
ACCENTED = (
    "ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÐÑÒÓÔÕÖØÙÚÛÜÝÞßàáâãäåæçèéêëìíîïðñòóôõöøùúûüýþÿ"
    "ĀāĂăĄąĆćČčĎďĐđĒēĖėĘęĚěĞğĢģĪīĮįİıĶķĹĺĽľĻļŁłŃńŇňŅņŐőŒœŔŕŘřŚśŞşȘșŠšŢţȚțŤťŪūŮůŰűŲųŴŵŶŷŸŹźŻżŽž"
)
MONEY = "€£¥¢₹₺₽₱₫₩₦฿₴"
SIGNS = "§°©®™±×÷²³½¼¾µ¶·•–—‘’‚“”„«»‹›…¿¡ªº№"  # noqa: RUF001 - these very signs
ALPHABET = ASCII + ACCENTED + MONEY + SIGNS
# One after the other: a character and what stands for it.
_PLAIN_PAIRS = (
    "ß ss Æ AE æ ae Œ OE œ oe Ø O ø o Ł L ł l Đ D đ d Ð D ð d Þ Th þ th ı i № No • * "  # noqa: RUF001
    '– - — - ‘ \' ’ \' ‚ , “ " ” " „ " « " » " ‹ \' › \' … ... × x'  # noqa: RUF001
)
_PLAIN = dict(zip(_PLAIN_PAIRS.split()[::2], _PLAIN_PAIRS.split()[1::2], strict=True))


def fold(character: str) -> str:
    """The nearest ASCII text of a character that a face lacks, as a till prints it; "" if none."""
    plain = _PLAIN.get(character)
    if plain is None:
        plain = "".join(c for c in normalize("NFKD", character) if c in ASCII)
    return plain
