"""How values read on a page: names, times, shares."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

_CONFIDENT, _DOUBTFUL = 0.9, 0.7
_HEADLINES: Mapping[str, tuple[str, ...]] = {
    "receipt": ("merchant_name", "transaction_date", "total"),
    "passport": ("surname", "given_names", "document_number"),
}
_ACRONYMS = {"mrz": "MRZ", "id": "ID", "iban": "IBAN", "vat": "VAT", "gst": "GST"}
_MINUTE, _HOUR, _DAY, _MONTH = 60, 3600, 86_400, 30 * 86_400
_LONGEST = 60


def label(name: str) -> str:
    """A field's name for people: "total_price" is "Total price"."""
    words = [_ACRONYMS.get(word, word) for word in name.replace("-", "_").split("_") if word]
    text = " ".join(words)
    return text[:1].upper() + text[1:]


def level(confidence: float | None) -> str:
    """How sure a field is: high, medium, low, or none where nobody said."""
    if confidence is None:
        return "none"
    if confidence >= _CONFIDENT:
        return "high"
    return "medium" if confidence >= _DOUBTFUL else "low"


def percent(ratio: float | None, digits: int = 0) -> str:
    """A share for people; never 100 % unless it is."""
    if ratio is None:
        return "\u2013"
    shown = 100 * ratio
    top = 100 - 10.0**-digits
    if ratio < 1 and shown > top:
        shown = top
    return f"{shown:.{digits}f} %"


def ago(moment: datetime | None) -> str:
    """How long ago, in one unit."""
    if moment is None:
        return ""
    seconds = max(0.0, (datetime.now(UTC) - moment).total_seconds())
    if seconds < _MINUTE:
        return "just now"
    for unit, size, until in (
        ("min", _MINUTE, _HOUR),
        ("h", _HOUR, 2 * _DAY),
        ("days", _DAY, 2 * _MONTH),
        ("months", _MONTH, float("inf")),
    ):
        if seconds < until:
            return f"{int(seconds // size)} {unit} ago"
    return ""


def duration(seconds: float | None) -> str:
    """A time span in one or two units."""
    if seconds is None:
        return "\u2013"
    if seconds < _MINUTE:
        return f"{seconds:.0f} s"
    if seconds < _HOUR:
        return f"{seconds / _MINUTE:.0f} min"
    hours, rest = divmod(seconds, _HOUR)
    if hours < _DAY / _HOUR:
        return f"{hours:.0f} h {rest / _MINUTE:.0f} min"
    return f"{seconds / _DAY:.0f} days"


def stamp(moment: datetime | None) -> str:
    """The exact time, for `<time datetime>`."""
    return "" if moment is None else moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def clock(moment: datetime | None) -> str:
    """The exact time for people, in UTC."""
    return "" if moment is None else moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def headline(document_type: str, record: Mapping[str, Any] | None) -> tuple[str, str]:
    """What a document is called in a list: its first telling value, and two more."""
    known = record or {}
    names = _HEADLINES.get(document_type, tuple(known))
    values = [
        str(known[name])
        for name in names
        if isinstance(known.get(name), str | int | float) and known[name] != ""
    ]
    if not values:
        return f"{label(document_type)} without values", ""
    return _short(values[0]), _short(" · ".join(values[1:3]))


def pretty(value: Any) -> str:
    """JSON for people."""
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)


def short_id(version: str) -> str:
    """A version's name without most of a long hash at its end."""
    return re.sub(r"([0-9a-f]{8})[0-9a-f]{8,}$", r"\1", version)


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


FILTERS = {
    "pretty": pretty,
    "label": label,
    "level": level,
    "percent": percent,
    "ago": ago,
    "duration": duration,
    "stamp": stamp,
    "clock": clock,
    "short_id": short_id,
}
