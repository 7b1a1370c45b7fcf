"""Files of tests, folders of outputs, the command, and the verdicts on olmOCR's own sample."""

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from extraction.unit_tests import InvalidCase, load_cases, read_case
from extraction.unit_tests.__main__ import main
from extraction.unit_tests.outputs import Outputs

PRESENT: dict[str, Any] = {"pdf": "s/a.pdf", "page": 2, "id": "one", "type": "present", "text": "x"}
ORDER: dict[str, Any] = {**PRESENT, "type": "order", "before": "ab", "after": "cd"} | {"id": "two"}
ORDER.pop("text")
# What olmOCR 0.4.27 gives for its own sample: all others pass.
FAILED = {
    "discoverworld_crazy_table4_02",
    "mattsnotes_minediff_03",
    "building_notes_02",
    "lincoln_letter_minediff_00",
    "olmo2-pg4_table08",
    "olmo2-discoverworld_crazy_table4_t02",
    "earnings_table00",
    "mathfuncs_06",
    "mathfuncscol_01",
    "test_graphical_text_00",
    "test_graphical_text_01",
    "ff3d6e051903fe5ca9bc172ece14964c5632_01a",
}


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"pdf": ""}, "pdf"),
        ({"id": ""}, "id"),
        ({"type": "smell"}, "type"),
        ({"type": None}, "type"),
        ({"text": ""}, "text"),
        ({"text": " ** ** "}, "text"),
        ({"max_diffs": -1}, "max_diffs"),
        ({"max_diffs": 1.5}, "max_diffs"),
        ({"colour": "red"}, "colour"),
        ({"type": "math"}, "text"),
        ({"type": "order", "text": None}, "text"),
    ],
)
def test_a_test_that_says_nothing_is_an_error(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(InvalidCase, match=why):
        read_case(PRESENT | changes)


@pytest.mark.parametrize(
    ("changes", "why"),
    [({"before": ""}, "before"), ({"after": " "}, "after"), ({"max_diffs": 2}, "half")],
)
def test_an_order_has_two_texts(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(InvalidCase, match=why):
        read_case(ORDER | changes)


def test_what_is_missing_is_named() -> None:
    with pytest.raises(InvalidCase, match="after is missing"):
        read_case({name: value for name, value in ORDER.items() if name != "after"})
    with pytest.raises(InvalidCase, match="math"):
        read_case({**PRESENT, "type": "math", "math": " "} | {"id": "m"} | {"text": "x"})


def write(path: Path, *lines: Any) -> Path:
    path.write_text("\n".join(x if isinstance(x, str) else json.dumps(x) for x in lines))
    return path


def test_a_file_of_tests(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", PRESENT, "", "  ", ORDER)
    assert [case.id for case in load_cases(path)] == ["one", "two"]
    for line, why in [("{", "a.jsonl:2"), ("[1]", "no JSON object"), (PRESENT, "twice")]:
        with pytest.raises(InvalidCase, match=why):
            load_cases(write(tmp_path / "a.jsonl", PRESENT, line))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "outputs" / "s").mkdir(parents=True)
    for name, text in {
        "a_pg2_repeat1.md": "x",
        "a_pg2_repeat2.md": "y",
        "a_pg2_repeat3.md": "x",
        "a_pg22_repeat1.md": "y",
        "aa_pg2_repeat1.md": "y",
        "a_pg2_repeat1.txt": "y",
    }.items():
        (tmp_path / "outputs" / "s" / name).write_text(text)
    return tmp_path


def test_more_than_half_of_the_readings_pass(folder: Path) -> None:
    outputs = Outputs(folder / "outputs")
    assert len(outputs.pages("s/a.pdf", 2)) == 3
    verdict = outputs.verdict(read_case(PRESENT))
    assert verdict.passed
    assert verdict.why == "'x' is not on the page", "of the reading that fails"
    assert not outputs.verdict(read_case(PRESENT | {"text": "y"})).passed
    missing = outputs.verdict(read_case(PRESENT | {"page": 3}))
    assert not missing.passed
    assert "no output" in missing.why


def test_the_command(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(folder / "a.jsonl", PRESENT, ORDER)
    assert main([str(path), "--outputs", str(folder / "outputs")]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [list(line) for line in lines] == [["id", "type", "passed", "why"]] * 2
    assert [line["passed"] for line in lines] == [True, False]
    assert main([str(path), "--outputs", str(folder / "outputs"), "--baselines"]) == 0
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (last["id"], last["type"], last["passed"]) == ("s/a.pdf_baseline", "baseline", False)


def test_the_command_says_what_it_cannot_read(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(folder / "a.jsonl", PRESENT, PRESENT)
    assert main([str(path), "--outputs", str(folder / "outputs")]) == 2
    assert "twice" in capsys.readouterr().err
    assert main([str(path), "--outputs", str(folder / "nowhere")]) == 2
    assert main([str(folder / "b.jsonl"), "--outputs", str(folder)]) == 2


@pytest.mark.skipif("DOCLOOP_OLMOCR" not in os.environ, reason="DOCLOOP_OLMOCR names no folder")
def test_every_verdict_on_the_original_sample(capsys: pytest.CaptureFixture[str]) -> None:
    folder = Path(os.environ["DOCLOOP_OLMOCR"])
    tests = [str(folder / name) for name in ("dataset.jsonl", "blanks.jsonl")]
    assert main([*tests, "--outputs", str(folder / "outputs")]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {line["id"] for line in lines if not line["passed"]} == FAILED
    assert Counter(line["type"] for line in lines) == {
        "present": 30,
        "absent": 24,
        "table": 20,
        "order": 13,
        "math": 12,
        "baseline": 1,
    }
