"""The documentation builds without a warning, and every command that it shows works."""

import asyncio
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
import pytest
import typer
from typer.testing import CliRunner

from api.app import create_app
from api.cli import app as cli
from api.settings import CLIENT_NAMES, Settings, variable_names
from tests.factories_api import KEY, TRAITS, document, serving
from tests.factories_docs import PAGES, ROOT, Shown, commands_of
from tests.factories_models import write_version
from tests.probes import listening
from trainer.export_command import export

SHOWN = [shown for page in PAGES for shown in commands_of(page)]
KNOWN = CLIENT_NAMES | {
    name for field, info in Settings.model_fields.items() for name in variable_names(field, info)
}
# Run as they stand against a service; the others are read by the program's own parser.
BACKUP = "/backups/docloop-20261122T180000Z"
RUN = {
    "docloop doctor",
    "docloop extract receipt.jpg",
    "docloop types put delivery_note.json",
    "docloop extract note.jpg --type delivery_note",
    "docloop train --dry-run",
    "docloop keys create second --scope review",
    "docloop models list",
    "docloop erase --expired --dry-run",
    "docloop erase --expired",
    "docloop backup /backups --keep 14",
    f"docloop restore {BACKUP} --verify",
    f"docloop restore {BACKUP}",
    "docloop export corrections --type receipt --images",
}


def of(program: str) -> list[Shown]:
    return [shown for shown in SHOWN if shown.program == program]


def test_there_is_something_to_look_at() -> None:
    assert len(SHOWN) > 25
    assert {shown.text for shown in of("docloop")} >= RUN


@pytest.mark.parametrize("shown", SHOWN, ids=lambda shown: f"{shown.page}: {shown.text[:60]}")
def test_every_command_is_one(
    shown: Shown, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert {name for name in shown.settings if name.startswith("DOCLOOP_")} <= KNOWN
    monkeypatch.chdir(tmp_path)
    words = shlex.split(re.split(r" [>|] ", shown.text)[0])
    for word in words[1:]:
        if re.fullmatch(r"\w+\.(jpg|png|pdf|json)", word):
            (tmp_path / word).touch()  # a parser may ask for the files that it is given
    check = {
        "docloop": check_docloop,
        "curl": check_curl,
        "make": check_make,
        "export": lambda words: None,
        "tensorboard": check_installed,
        "promtool": check_files,
        "docker": check_files,
        "kubectl": check_kubectl,
        "deploy/make-secrets.sh": check_files,
    }[words[0]]
    check(words)


def check_docloop(words: list[str]) -> None:
    """The command and its options are what the program takes."""
    command: Any = typer.main.get_command(cli)
    context = click.Context(command, info_name="docloop")
    rest = words[1:]
    while isinstance(command, click.Group) or hasattr(command, "get_command"):
        name, *rest = rest
        found = command.get_command(context, name)
        if found is None and name == "export":
            app = typer.Typer()
            app.command("export")(export)
            found = typer.main.get_command(app)
        assert found is not None, words
        command = found
        context = click.Context(command, parent=context, info_name=name)
    command.make_context(words[-1], list(rest))


def check_curl(words: list[str]) -> None:
    """The address and its method are routes."""
    address = urlsplit(next(word for word in words if word.startswith("http")))
    # Relative to the test's own folder; an engine elsewhere opens no log.
    settings = Settings(_env_file=None, engine_urls=("http://127.0.0.1:9",))
    paths = create_app(settings).openapi()["paths"]
    method = "post" if {"-F", "--data"} & set(words) else "get"
    assert method in paths[address.path], words


def check_make(words: list[str]) -> None:
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert {word for word in words[1:] if "=" not in word} <= set(targets)


def check_installed(words: list[str]) -> None:
    assert shutil.which(words[0]) or Path(sys.executable).with_name(words[0]).exists()


def check_files(words: list[str]) -> None:
    """What it names in the repository is there."""
    for word in words:
        if word.startswith("deploy/"):
            assert (ROOT / word).exists(), word


def check_kubectl(words: list[str]) -> None:
    named = [word for word in words if word.startswith("deploy/kubernetes")]
    assert all((ROOT / word).exists() for word in named)
    assert {"apply", "create"} & set(words)


async def test_commands_of_the_operator_and_the_clerk_do_what_is_said(
    database_url: str, empty_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("receipt.jpg", "note.jpg"):
        (tmp_path / name).write_bytes(document(name))
    (tmp_path / "delivery_note.json").write_text(shown_json("A delivery note."))
    async with serving(database_url, tmp_path / "var") as up, listening(up.app) as api:
        found = await up.extract()
        said = {"prediction_id": found["id"], "verdict": "corrected", "record": {"total": "8.00"}}
        (tmp_path / "correction.json").write_text(json.dumps(said))
        await asyncio.to_thread(run_shown, tmp_path, database_url, empty_url, api.port)


def shown_json(words: str) -> str:
    """The block of JSON that has these words."""
    page = (ROOT / "docs" / "document-types.md").read_text()
    blocks = re.findall(r"^```json\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    return next(block for block in blocks if words in block)


def run_shown(folder: Path, database_url: str, empty_url: str, port: int) -> None:
    """Each in the order of the pages; the addresses and folders are this test's."""
    app = typer.Typer()
    app.command("export")(export)
    base = {
        "DATABASE_URL": database_url,
        "DOCLOOP_DATA_DIR": str(folder / "var"),
        "DOCLOOP_PORT": str(port),
        "DOCLOOP_API_KEY": KEY,
    }
    write_version(folder / "build" / "model", TRAITS.version)  # where the served one is registered
    kept = ""
    done = set()
    for shown in SHOWN:
        if shown.program == "curl":
            text = shown.text.replace("127.0.0.1:8000", f"127.0.0.1:{port}")
            answer = subprocess.run(  # noqa: S603 - what the page shows
                ["/bin/bash", "-c", f"{text} --fail --silent"],
                cwd=folder,
                env={**os.environ, "DOCLOOP_API_KEY": KEY},
                capture_output=True,
                text=True,
                check=False,
            )
            assert answer.returncode == 0, (shown, answer.stderr)
            assert json.loads(answer.stdout)["id"]
        elif shown.text in RUN:
            places = {BACKUP: kept, "/backups": str(folder / "backups")}
            words = [places.get(word, word) for word in shlex.split(shown.text)[1:]]
            settings = {**base, **shown.settings}
            if words[0] == "restore" and "--verify" not in words:
                new = {"DATABASE_URL": empty_url, "DOCLOOP_DATA_DIR": str(folder / "new")}
                settings = {**base, **new}
            runner = CliRunner()
            if words[0] == "train" and shown.text in done:
                continue
            if words[0] == "train":  # takes signals, which a thread cannot
                trained = subprocess.run(  # noqa: S603 - what the page shows
                    [sys.executable, "-m", "api.cli", *words],
                    cwd=folder,
                    env={**os.environ, **settings},
                    capture_output=True,
                    text=True,
                    check=False,
                )
                assert trained.returncode == 0, (shown, trained.stdout, trained.stderr)
                done.add(shown.text)
                continue
            if words[0] == "export":
                result = runner.invoke(app, words[1:], env=settings)
            else:
                result = runner.invoke(cli, words, env=settings)
            # This service's model is no folder, which the doctor rightly says.
            wanted = {0, 1} if words[0] == "doctor" else {0}
            assert result.exit_code in wanted, (shown, result.output, result.exception)
            if words[0] == "backup":
                kept = result.stdout.strip().splitlines()[0]
            done.add(shown.text)
    assert done == RUN


@pytest.mark.timeout(200)
def test_the_site_builds_strictly_and_without_a_network(tmp_path: Path) -> None:
    program = Path(sys.executable).with_name("mkdocs")
    if not program.exists():
        pytest.skip("mkdocs-material is not installed")
    nowhere = {"https_proxy": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9"}
    done = subprocess.run(  # noqa: S603 - as installed
        [str(program), "build", "--strict", "--site-dir", str(tmp_path / "site")],
        cwd=ROOT,
        env={**os.environ, **nowhere, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    reference = (tmp_path / "site" / "http.html").read_text()
    assert "POST /extract" in reference
    told = "".join(path.read_text() for path in (tmp_path / "site").rglob("*.html"))
    fetched = re.findall(r'<(?:script|link|img)[^>]+(?:src|href)="(https?://[^"]+)"', told)
    assert fetched == []
