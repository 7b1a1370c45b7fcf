"""What a kill leaves of a stage does not stand in the way of the next start."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from trainer.stage import newest_checkpoint, read_json, read_lines, write_json, write_lines


def checkpoint(out: Path, step: int, state: str | None) -> Path:
    folder = out / f"checkpoint-{step}"
    folder.mkdir()
    if state is not None:
        (folder / "trainer_state.json").write_text(state)
    return folder


def test_the_newest_whole_checkpoint_counts_by_its_number(tmp_path: Path) -> None:
    checkpoint(tmp_path, 9, json.dumps({"global_step": 9}))
    newest = checkpoint(tmp_path, 10, json.dumps({"global_step": 10}))
    assert newest_checkpoint(tmp_path) == str(newest)


def test_a_checkpoint_that_was_never_finished_is_removed(tmp_path: Path) -> None:
    whole = checkpoint(tmp_path, 1, json.dumps({"global_step": 1}))
    empty, cut = checkpoint(tmp_path, 2, None), checkpoint(tmp_path, 3, '{"global_st')
    assert newest_checkpoint(tmp_path) == str(whole)
    assert not empty.exists()
    assert not cut.exists()


def test_without_any_the_stage_begins(tmp_path: Path) -> None:
    checkpoint(tmp_path, 1, None)
    assert newest_checkpoint(tmp_path) is None
    assert newest_checkpoint(tmp_path / "never") is None


def test_a_file_is_there_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    file = tmp_path / "done.json"
    assert read_json(file) is None
    write_json(file, {"a": 1})
    assert read_json(file) == {"a": 1}
    file.write_text('{"a":')
    assert read_json(file) is None


def test_rows_come_back_as_they_were_written(tmp_path: Path) -> None:
    rows = [{"text": "Käse\u2028Brot\x85\r\n1 €"}, {"text": ""}]
    file = tmp_path / "deeper" / "rows.jsonl"
    write_lines(file, rows)
    assert read_lines(file) == rows
    assert "Käse" in file.read_text(encoding="utf-8")


def test_rows_are_there_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    def breaks_off() -> Iterator[dict[str, int]]:
        yield {"a": 2}
        raise KeyboardInterrupt

    file = tmp_path / "rows.jsonl"
    write_lines(file, [{"a": 1}])
    with pytest.raises(KeyboardInterrupt):
        write_lines(file, breaks_off())
    assert read_lines(file) == [{"a": 1}]
