"""How well travel documents of the five ICAO formats are read, in layouts unknown to training.

A value is right where it equals what is printed or what the zone writes ("MÜLLER" or "MUELLER");
the stricter share counts the printed form alone. A name that the zone had to cut is right only
where it is whole. A value for a field that the document does not have is counted as invented.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from accuracy_client import Post, gather, mean
from travel_pages import held_out

from extraction.checks import zone_record
from extraction.document_types.passport import PASSPORT
from extraction.mrz import parse_mrz
from extraction.record import to_json
from extraction.scoring import score_field
from trainer.synth.document import SyntheticDocument

_NAMES = frozenset({"surname", "given_names"})
_FIELDS = tuple(spec.name for spec in PASSPORT.fields if spec.asked)


@dataclass(frozen=True)
class Verdict:
    """One field of one document.

    Attributes:
        name: of the field.
        carried: whether the machine-readable zone holds it.
        right: equal to the printed value or to the zone's.
        as_printed: equal to the printed value.
        invented: a value where the document has none.
        expected: as printed, else as in the zone; None where the document has none.
        read: what the service answered.
        source: who read it, "mrz" or "model".
    """

    name: str
    carried: bool
    right: bool
    as_printed: bool
    invented: bool
    expected: Any
    read: Any
    source: str | None


@dataclass(frozen=True)
class Truth:
    """One document: its file, what it prints, what its zone holds."""

    number: int
    format: str
    image: str
    printed: Mapping[str, str]
    mrz: Sequence[str]
    zone: Mapping[str, Any] = field(default_factory=dict)


def write_documents(folder: Path, count: int) -> list[Truth]:
    """Documents 0 to `count` - 1 as PNG files; those that are there already are not drawn again."""
    folder.mkdir(parents=True, exist_ok=True)
    truths = []
    for number in range(count):
        name = f"{number:03}.png"
        document, page = held_out(number)
        if not (folder / name).exists():
            page.image.save(folder / name)
        truths.append(truth_of(number, document.format.name, name, page))
    return truths


def truth_of(number: int, form: str, image: str, page: SyntheticDocument) -> Truth:
    """What is right for a page; cut names of the zone are left out, for they are not whole."""
    lines = page.record["mrz"]["lines"]
    parsed = parse_mrz(lines)
    record = zone_record(parsed)
    slot = parsed.format.slot("names").span.of(parsed.lines)
    zone = {
        name: to_json(getattr(record, name))
        for name in _FIELDS
        if getattr(record, name) is not None and not (name in _NAMES and not slot.endswith("<"))
    }
    printed = {name: text for name, text in page.record.items() if name != "mrz"}
    return Truth(number, form, image, printed, lines, zone)


def judged(truth: Truth, answer: Mapping[str, Any]) -> Iterator[Verdict]:
    """The verdict on every asked field; a field that neither is there nor was read has none."""
    record, read = answer.get("record") or {}, answer.get("fields") or {}
    for name in _FIELDS:
        spec, value = PASSPORT.field(name), record.get(name)
        printed, zone = truth.printed.get(name), truth.zone.get(name)
        if printed is None and zone is None:
            if value is not None:
                yield Verdict(name, False, False, False, True, None, value, _source(read, name))  # noqa: FBT003
            continue
        of_zone = zone is not None and score_field(spec, zone, value) == 1
        as_printed = printed is not None and score_field(spec, printed, value) == 1
        yield Verdict(
            name,
            carried=zone is not None or name in _NAMES,
            right=of_zone or as_printed,
            as_printed=as_printed or (printed is None and of_zone),
            invented=False,
            expected=printed if printed is not None else zone,
            read=value,
            source=_source(read, name),
        )


def _source(read: Mapping[str, Any], name: str) -> str | None:
    return (read.get(name) or {}).get("source")


async def travel(truths: Sequence[Truth], folder: Path, send: Post) -> dict[str, Any]:
    """Exact shares per field, in percent: of those that the zone carries, and of the others.

    Returns:
        `carried` and `printed_only`: field -> {"documents", "exact", "as_printed"}; `zones_equal`,
        the percentage of zones that are right to the character; `by_format`, the exact share of
        the carried fields; `invented`, how many values stand for nothing.
    """
    form = {"document_type": "passport"}
    rows = [{"truth": truth} for truth in truths]
    answers = await gather(rows, lambda row: send(folder / row["truth"].image, form))
    results = []
    for truth, answer in zip(truths, answers, strict=True):
        zone = ((answer.get("record") or {}).get("mrz") or {}).get("lines")
        results.append(
            {
                "number": truth.number,
                "format": truth.format,
                "image": truth.image,
                "zone_equal": zone == list(truth.mrz),
                "mrz": list(truth.mrz),
                "mrz_read": zone,
                "fields": [asdict(verdict) for verdict in judged(truth, answer)],
                "answer": answer,
            }
        )
    return {"documents": len(results), **summary(results), "rows": results}


def summary(results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The figures of `travel` from its rows."""
    verdicts = [(row["format"], item) for row in results for item in row["fields"]]
    known = [(form, item) for form, item in verdicts if not item["invented"]]
    formats = sorted({row["format"] for row in results})
    return {
        "carried": _shares([item for _, item in known if item["carried"]]),
        "printed_only": _shares([item for _, item in known if not item["carried"]]),
        "zones_equal": _percent([row["zone_equal"] for row in results]),
        "by_format": {
            form: _percent(
                [item["right"] for own, item in known if own == form and item["carried"]]
            )
            for form in formats
        },
        "invented": sum(item["invented"] for _, item in verdicts),
    }


def _shares(items: Sequence[dict[str, Any]]) -> dict[str, dict[str, float]]:
    names = [name for name in _FIELDS if any(item["name"] == name for item in items)]
    shares = {}
    for name in names:
        own = [item for item in items if item["name"] == name]
        shares[name] = {
            "documents": len(own),
            "exact": _percent([item["right"] for item in own]),
            "as_printed": _percent([item["as_printed"] for item in own]),
        }
    return shares


def _percent(flags: Sequence[bool]) -> float:
    return 100 * mean([float(flag) for flag in flags])


def travel_table(result: dict[str, Any]) -> list[tuple[str, ...]]:
    """Header and rows: the carried fields, the printed ones, the zones."""
    rows = [("field", "documents", "exact, %", "as printed, %")]
    for group in ("carried", "printed_only"):
        rows.append((f"[b]{_TITLES[group]}[/b]", "", "", ""))
        rows += [
            (name, f"{own['documents']:.0f}", f"{own['exact']:.1f}", f"{own['as_printed']:.1f}")
            for name, own in result[group].items()
        ]
    rows.append(("[b]zones[/b]", "", "", ""))
    rows.append(("all characters", str(result["documents"]), f"{result['zones_equal']:.1f}", ""))
    rows += [(f"fields of {form}", "", f"{v:.1f}", "") for form, v in result["by_format"].items()]
    rows.append(("values invented", str(result["invented"]), "", ""))
    return rows


_TITLES = {"carried": "in the zone", "printed_only": "printed alone"}
