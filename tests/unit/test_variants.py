"""The bench of variants: what is served for each, what is asked, what becomes of the figures."""

import argparse
import json
from pathlib import Path
from typing import Any

import pytest
import variants
from PIL import Image
from variants import NotMeasurable, run, tasks_of, variant_folder
from variants_plot import plot_variants, table_of

SROIE = {"overall": 97.5, "overall_exact": 80.25}
TRAVEL = {
    "carried": {"sex": {"documents": 30, "exact": 100.0}, "surname": {"documents": 10, "exact": 0}},
    "printed_only": {"place_of_birth": {"documents": 4, "exact": 25.0}},
}


def model(folder: Path, *, sees: bool) -> Path:
    folder.mkdir()
    card = {"version": "m-1", "sees_images": sees, "layout": "rows"}
    (folder / "docloop.json").write_text(json.dumps(card))
    return folder


def arguments(folder: Path, served: Path, **more: Any) -> argparse.Namespace:
    usual = {
        "model": served,
        "variants": ["as-is"],
        "sroie": Path("receipts"),
        "split": "400-499",
        "passports": None,
        "travel": 0,
        "hard": False,
        "concurrency": 1,
        "out": folder / "out",
    }
    return argparse.Namespace(**{**usual, **more})


def test_without_its_image_a_model_is_one_that_does_not_see(tmp_path: Path) -> None:
    served = model(tmp_path / "model", sees=True)
    changed = variant_folder(served, "no-image", tmp_path / "changed")
    card = json.loads((changed / "docloop.json").read_text())
    assert (card["sees_images"], card["version"], card["layout"]) == (False, "m-1", "rows")
    assert json.loads((served / "docloop.json").read_text())["sees_images"], "left as it was"
    assert variant_folder(served, "no-lines", tmp_path / "same") == served


@pytest.mark.parametrize("variant", ["no-image", "no-lines"])
def test_a_model_that_does_not_see_has_nothing_to_leave_out(tmp_path: Path, variant: str) -> None:
    served = model(tmp_path / "model", sees=False)
    with pytest.raises(NotMeasurable, match=variant):
        variant_folder(served, variant, tmp_path / "changed")
    with pytest.raises(NotMeasurable, match="does not see"):
        run(arguments(tmp_path, served, variants=[variant]))


def test_a_folder_without_a_card_is_no_version(tmp_path: Path) -> None:
    with pytest.raises(NotMeasurable, match=r"docloop\.json"):
        run(arguments(tmp_path, tmp_path))


def test_only_what_is_named_is_asked(tmp_path: Path) -> None:
    few = arguments(tmp_path, tmp_path, travel=7, hard=True, sroie=None)
    assert [(task.task, task.count) for task in tasks_of(few)] == [("travel", 7), ("hard", 0)]
    all_of_them = arguments(tmp_path, tmp_path, passports=Path("p"))
    assert [(t.task, t.split) for t in tasks_of(all_of_them)] == [
        ("sroie", "400-499"),
        ("mrz", None),
    ]


def test_what_is_measured_is_not_measured_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = model(tmp_path / "model", sees=False)
    asked: list[list[str]] = []

    async def measured(variant: str, given: argparse.Namespace, known: Any, keep: Any) -> None:
        left = [task.task for task in tasks_of(given) if task.task not in known]
        asked.append([variant, *left])
        for task in left:
            keep(task, SROIE)

    monkeypatch.setattr(variants, "measure_variant", measured)
    given = arguments(tmp_path, served)
    assert run(given) == run(given) == {"model": "m-1", "variants": {"as-is": {"sroie": SROIE}}}
    assert asked == [["as-is", "sroie"], ["as-is"]]
    other = model(tmp_path / "other", sees=False)
    (other / "docloop.json").write_text('{"version": "m-2", "sees_images": false}')
    with pytest.raises(NotMeasurable, match="is of m-1"):
        run(arguments(tmp_path, other))


def test_the_table_and_the_plot_have_what_was_measured(tmp_path: Path) -> None:
    found: dict[str, Any] = {
        "model": "m-1",
        "variants": {"as-is": {"sroie": SROIE, "travel": TRAVEL}, "int8": {"sroie": SROIE}},
    }
    header, _, first, second = table_of(found["variants"]).splitlines()
    assert header == (
        "|  | receipts, fuzzy | receipts, exact | travel, in the zone | travel, printed alone |"
    )
    assert first == "| as-is | 97.5 | 80.2 | 75.0 | 25.0 |"
    assert second == "| int8 | 97.5 | 80.2 |  |  |"
    picture, curves = plot_variants(found, tmp_path / "plot")
    with Image.open(picture) as drawn:
        assert drawn.width > 500
    assert curves.suffix == ".svg"
