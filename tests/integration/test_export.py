"""What people corrected leaves as a data set that TRL takes."""

import asyncio
import json
from pathlib import Path

import pytest
import typer
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
from typer.testing import CliRunner

from db.queries.keys import ensure_tenant
from db.queries.quarantine import mark_screened
from tests.factories_learning import make_learnable, receipt_lines, store
from trainer.export import Choice, export_corrections
from trainer.export_command import export

RECORD = {"merchant_name": "CORNER STORE SDN BHD", "total": "9.00"}


def read(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


async def fill(sessions: async_sessionmaker[AsyncSession]) -> None:
    """A confirmed receipt, a corrected one of the holdout, and one that nobody has screened."""
    async with sessions.begin() as session:
        owner = (await ensure_tenant(session, "acme")).id
        given = [
            make_learnable(receipt_lines(), RECORD),
            make_learnable(receipt_lines("8.00"), RECORD, {"total": "8.00"}, holdout=True),
            make_learnable(receipt_lines("7.00"), RECORD, {"total": "7.00"}),
        ]
        stored = [await store(session, owner, one) for one in given]
        await mark_screened(session, [one.id for one in stored[:2]])


async def test_corrections_are_exported_as_trl_takes_them(
    sessions: async_sessionmaker[AsyncSession], tmp_path: Path
) -> None:
    await fill(sessions)
    async with sessions() as session:
        done = await export_corrections(session, tmp_path / "out", Choice())
    assert dict(done.counts) == {("receipt", "train"): 1, ("receipt", "holdout"): 1}
    (row,) = read(tmp_path / "out" / "train.jsonl")
    assert row["accepted"] is True
    (held,) = read(tmp_path / "out" / "holdout.jsonl")
    assert json.loads(held["completion"][0]["content"]) == {"total": "8.00"}  # type: ignore[index]
    assert json.loads(str(held["record"])) == {**RECORD, "total": "8.00"}
    assert "CORNER STORE SDN BHD" in json.dumps(row["prompt"])

    from datasets import load_dataset
    from trl.data_utils import is_conversational

    files = {
        "train": str(tmp_path / "out" / "train.jsonl"),
        "test": str(tmp_path / "out" / "holdout.jsonl"),
    }
    loaded = load_dataset("json", data_files=files, cache_dir=str(tmp_path / "cache"))
    assert loaded["train"].column_names == loaded["test"].column_names
    assert is_conversational(loaded["train"][0])


async def test_nothing_is_locked_in(
    sessions: async_sessionmaker[AsyncSession], tmp_path: Path
) -> None:
    await fill(sessions)
    async with sessions() as session:
        await export_corrections(session, tmp_path / "all", Choice(everything=True))
        other = await export_corrections(
            session, tmp_path / "none", Choice(document_type="passport")
        )
    assert [row["accepted"] for row in read(tmp_path / "all" / "train.jsonl")] == [True, False]
    assert not other.counts
    assert (tmp_path / "none" / "train.jsonl").read_text() == ""


async def test_the_command(
    sessions: async_sessionmaker[AsyncSession],
    database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    await fill(sessions)
    app = typer.Typer()
    app.command("export")(export)

    def call(*arguments: str) -> tuple[int, str]:
        variables = {"DATABASE_URL": database_url, "DOCLOOP_DATA_DIR": str(tmp_path / "var")}
        done = CliRunner().invoke(app, list(arguments), env=variables)
        return done.exit_code, done.output

    status, said = await asyncio.to_thread(call, "out", "--tenant", "acme", "--type", "receipt")
    assert status == 0, said
    assert "holdout" in said
    assert (await asyncio.to_thread(call, "out"))[0] == 1, "the folder is there"
    status, said = await asyncio.to_thread(call, "other", "--tenant", "nobody")
    assert status == 1
    assert "no tenant nobody" in said
