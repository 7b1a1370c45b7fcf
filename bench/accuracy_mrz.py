"""How well machine-readable zones of real specimens are read."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from accuracy_client import Post, gather


async def mrz(rows: Sequence[dict[str, Any]], folder: Path, send: Post) -> dict[str, Any]:
    """How many zones are exactly right, and how many are proven by their check digits."""
    form = {"document_type": "passport"}
    answers = await gather(rows, lambda row: send(folder / row["image"], form))
    results = []
    for row, answer in zip(rows, answers, strict=True):
        zone = (answer.get("record") or {}).get("mrz") or {}
        digits = [c for c in answer.get("checks", []) if c["name"].startswith("mrz.")]
        results.append(
            {
                "image": row["image"],
                "equal": zone.get("lines") == row["mrz"],
                "proven": bool(digits) and all(c["verdict"] == "pass" for c in digits),
                "read": zone.get("lines"),
            }
        )
    return {
        "documents": len(rows),
        "equal": sum(result["equal"] for result in results),
        "proven": sum(result["proven"] for result in results),
        "rows": results,
    }


def mrz_table(result: dict[str, Any]) -> list[tuple[str, ...]]:
    """Header and rows."""
    return [("figure", "of", "documents")] + [
        (name, str(result["documents"]), str(result[name])) for name in ("equal", "proven")
    ]
