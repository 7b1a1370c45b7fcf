"""How well the receipts of SROIE are read: fuzzy score and exact share of the four fields."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from accuracy_client import Post, gather, mean

from extraction.scoring import sroie_score

# The task's names of the receipt type's fields.
FIELDS = {
    "company": "merchant_name",
    "date": "transaction_date",
    "address": "merchant_address",
    "total": "total",
}
_EQUAL = 100.0


async def sroie(rows: Sequence[dict[str, Any]], folder: Path, send: Post) -> dict[str, Any]:
    """Scores over receipts; values are compared as printed, as the task asks.

    Returns:
        Means of 0 to 100; per field also `_exact`, the percentage of values that are equal to the
        character; `whole_exact` is the percentage of receipts with all four.
    """
    form = {"document_type": "receipt", "fields": ",".join(FIELDS.values())}
    answers = await gather(rows, lambda row: send(folder / row["image"], form))
    results: list[dict[str, Any]] = []
    for row, answer in zip(rows, answers, strict=True):
        read = answer.get("fields", {})
        texts = {task: (read.get(name) or {}).get("raw") for task, name in FIELDS.items()}
        scores = sroie_score(row["fields"], texts)
        results.append({"id": row["id"], "scores": scores, "read": texts, "answer": answer})
    return {"receipts": len(rows), **summary(results), "rows": results}


def summary(results: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Mean score and exact share per field and overall, in percent."""
    scores = [result["scores"] for result in results]
    means = {name: mean([row[name] for row in scores]) for name in (*FIELDS, "overall")}
    exact = {name: mean([100.0 * (row[name] == _EQUAL) for row in scores]) for name in FIELDS}
    whole = mean([100.0 * all(row[name] == _EQUAL for name in FIELDS) for row in scores])
    return {
        **means,
        **{f"{name}_exact": share for name, share in exact.items()},
        "overall_exact": mean(list(exact.values())),
        "whole_exact": whole,
    }


def sroie_table(result: dict[str, Any]) -> list[tuple[str, ...]]:
    """Header and rows: field, mean score, exact share."""
    rows = [("field", "mean fuzzy score", "exact, %")]
    rows += [
        (name, f"{result[name]:.2f}", f"{result[f'{name}_exact']:.1f}")
        for name in (*FIELDS, "overall")
    ]
    rows.append(("all four", "", f"{result['whole_exact']:.1f}"))
    return rows
