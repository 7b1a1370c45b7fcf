import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import psycopg
import pytest
from sqlalchemy.exc import OperationalError
from typer.testing import CliRunner

from trainer import commands, exit_status
from trainer.attempt import RunElsewhere, RunGivenUp, TooFewCorrections
from trainer.cycle_lock import CycleRunning

ROOT = Path(__file__).parents[2]
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
RUN = UUID(int=7)


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No variable and no .env of the machine that runs the test."""
    for name in list(os.environ):
        if name.startswith("DOCLOOP_") or name == "DATABASE_URL":
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (TooFewCorrections(3, 20), exit_status.NOT_STARTED, "17 more"),
        (CycleRunning("box, process 9", NOON), exit_status.NOT_STARTED, "on box, process 9, since"),
        (CycleRunning("", None), exit_status.NOT_STARTED, "is running. Wait"),
        (RunElsewhere(RUN, NOON), exit_status.NOT_STARTED, "12:00:00 UTC"),
        (RunGivenUp(RUN, 3), exit_status.FAULT, "3 times"),
        (psycopg.OperationalError("gone"), exit_status.DATABASE, "does not answer"),
        (KeyError("x"), exit_status.FAULT, "KeyError"),
    ],
)
def test_each_ending_has_its_status_and_sentence(error: Exception, status: int, said: str) -> None:
    found, sentence = exit_status.status_of(error)
    assert (found, said in sentence) == (status, True), sentence


def test_a_lost_database_is_found_behind_other_errors() -> None:
    lost = OperationalError("SELECT 1", {}, psycopg.OperationalError("the connection is lost"))
    wrapper = RuntimeError("stage sft")
    wrapper.__cause__ = lost
    assert exit_status.status_of(wrapper)[0] == exit_status.DATABASE
    refused = OperationalError("SELECT", {}, ValueError("no connection error"))
    assert exit_status.status_of(refused)[0] == exit_status.FAULT


def test_an_unknown_error_tells_its_kind_and_no_value() -> None:
    assert "X4711PLANTED" not in exit_status.status_of(ValueError("X4711PLANTED"))[1]


def test_a_profile_with_faults_is_refused_before_anything_starts(tmp_path: Path) -> None:
    text = (ROOT / "trainer" / "profiles" / "small.toml").read_text()
    file = tmp_path / "own.toml"
    file.write_text(text.replace("epochs", "epoches"))
    for command in ("train", "worker"):
        result = CliRunner().invoke(commands.app, [command, "--profile", str(file)])
        assert result.exit_code == 2, result.output
        assert "sft.epoches: is no key of a profile" in result.output
        assert "sft.epochs: field required" in result.output
    assert not (tmp_path / "var").exists()


def test_the_profile_may_stand_in_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCLOOP_PROFILE", "huge")
    result = CliRunner().invoke(commands.app, ["train"])
    assert (result.exit_code, "The profile huge" in result.output) == (2, True)


def test_a_mistyped_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "mysql://root:planted@host/name")
    result = CliRunner().invoke(commands.app, ["train"])
    assert result.exit_code == 2
    assert "postgresql://user:password@host/database is needed" in " ".join(result.output.split())
    assert "planted" not in result.output


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(commands, "NEEDED", ("docloop_no_such_package",))
    result = CliRunner().invoke(commands.app, ["worker"])
    assert result.exit_code == 2
    assert "docloop_no_such_package missing" in " ".join(result.output.split())
    assert not (tmp_path / "var").exists()


def test_help_needs_no_torch() -> None:
    script = (
        "import sys; sys.argv = ['docloop', 'train', '--help']\n"
        "from trainer.commands import app\n"
        "try: app()\n"
        "except SystemExit: pass\n"
        "import json; print(json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stderr
    loaded = set(json.loads(done.stdout.splitlines()[-1]))
    assert not loaded & {"torch", "transformers", "trl", "peft", "api"}
    assert "--dry-run" in done.stdout


def test_launch_files_are_what_accelerate_reads() -> None:
    from accelerate.commands.config.config_args import load_config_from_file

    files = {file.stem: file for file in (ROOT / "trainer" / "accelerate").glob("*.yaml")}
    assert set(files) == {"cpu", "gpu", "gpus"}
    found = {name: load_config_from_file(str(file)) for name, file in files.items()}
    assert [found[name].use_cpu for name in ("cpu", "gpu", "gpus")] == [True, False, False]
    assert [str(found[name].num_processes) for name in ("cpu", "gpu")] == ["1", "1"]
    assert found["gpus"].num_processes > 1
    assert {found[name].mixed_precision for name in ("gpu", "gpus")} == {"bf16"}


@pytest.mark.parametrize("page", ["training.md", "learning-features.md"])
def test_every_linked_file_and_named_test_exists(page: str) -> None:
    text = (ROOT / "docs" / page).read_text()
    links = re.findall(r"\]\((?!http|#)([^)#]+)", text)
    missing = [link for link in links if not (ROOT / "docs" / link).resolve().exists()]
    assert missing == []
    for file, name in re.findall(r"`(tests/[a-z0-9_/]+\.py)(?:::([a-z0-9_]+))?`", text):
        path = ROOT / file
        assert path.is_file(), file
        found = re.search(rf"^(async )?def {name}\(", path.read_text(), re.MULTILINE)
        assert not name or found, name


def test_the_table_of_features_names_a_file_and_a_test_in_each_row() -> None:
    text = (ROOT / "docs" / "learning-features.md").read_text()
    rows = [line for line in text.splitlines() if re.match(r"\| (?!feature|-)", line)]
    assert len(rows) > 20
    for row in rows:
        _, code, tests = (cell.strip() for cell in row.strip("|").split("|"))
        assert re.search(r"\]\(\.\./", code), row
        assert re.search(r"`tests/|`make |not run here", tests), row
