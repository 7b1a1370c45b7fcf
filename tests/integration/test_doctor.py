"""The doctor finds what is wrong and says how to mend it; what is right it leaves alone."""

import asyncio
import base64
import json
from pathlib import Path

import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from api.cli import app as cli
from api.doctor import Finding, Health, examine
from api.settings import Settings
from tests.factories_api import Serving, serving
from tests.probes import listening

ONE_KEY, OTHER_KEY = (base64.b64encode(bytes([n]) * 32).decode() for n in (1, 2))


async def look(settings: Settings) -> dict[str, Finding]:
    """By part; the worst where a part has several."""
    worst: dict[str, Finding] = {}
    order = [Health.OK, Health.WARN, Health.FAIL]
    for found in await asyncio.to_thread(lambda: list(examine(settings))):
        old = worst.get(found.what)
        if old is None or order.index(found.health) > order.index(old.health):
            worst[found.what] = found
    for found in worst.values():
        assert (found.mend == "") == (found.health is Health.OK), found
    return worst


def settings_of(url: str, folder: Path, port: int = 1, **more: object) -> Settings:
    return Settings(_env_file=None, database_url=SecretStr(url), data_dir=folder, port=port, **more)


async def erase_a_file(up: Serving) -> None:
    await up.extract()
    for path in (up.services.settings.data_dir / "blobs").rglob("*"):
        if path.is_file():
            path.unlink()


async def test_a_service_that_is_well(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "var"
    async with (
        serving(database_url, folder, blob_key=SecretStr(ONE_KEY)) as up,
        listening(up.app) as api,
    ):
        await up.extract()
        found = await look(settings_of(database_url, folder, api.port, blob_key=SecretStr(ONE_KEY)))
        for part in ("python", "encryption", "database", "keys", "files", "service"):
            assert found[part].health is Health.OK, found[part]
        assert found["backup"].health is Health.WARN
        # The key of somebody else; and no key at all.
        for key in (SecretStr(OTHER_KEY), None):
            broken = await look(settings_of(database_url, folder, api.port, blob_key=key))
            assert broken["files"].health is Health.FAIL
            assert "DOCLOOP_BLOB_KEY" in broken["files"].mend


async def test_what_is_missing_is_named(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DOCLOOP_PROT", "9000")
    folder = tmp_path / "var"
    async with serving(database_url, folder) as up, listening(up.app):
        await erase_a_file(up)
    found = await look(settings_of(database_url, folder, model_dir=tmp_path / "no model"))
    assert found["files"].health is Health.FAIL
    assert "missing" in found["files"].said
    assert "DOCLOOP_PROT" in found["settings"].said
    assert "make assemble" in found["model"].mend
    assert found["service"].health is Health.WARN
    assert "docloop serve" in found["service"].mend


async def test_a_database_that_is_away_and_one_without_tables(
    empty_url: str, tmp_path: Path
) -> None:
    gone = await look(settings_of("postgresql://u:p@127.0.0.1:1/x", tmp_path))
    assert gone["database"].health is Health.FAIL
    assert "DATABASE_URL" in gone["database"].mend
    old = await look(settings_of(empty_url, tmp_path))
    assert "revision" in old["database"].said


async def test_engines_that_cannot_be_reached(tmp_path: Path) -> None:
    settings = Settings(
        _env_file=None, data_dir=tmp_path, port=1, engine_urls=("http://127.0.0.1:1",)
    )
    assert "cannot be reached" in (await look(settings))["engine"].said
    # The embedded database does not run; it is not started to find that out.
    found = await look(settings)
    assert found["database"].health is Health.WARN
    assert not (tmp_path / "postgres" / "cluster").exists()


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    variables = {"DOCLOOP_DATA_DIR": str(tmp_path), "DOCLOOP_PORT": "1", "DATABASE_URL": ""}
    done = CliRunner().invoke(cli, ["doctor", "--json"], env=variables)
    assert done.exit_code == 1
    told = {row["what"]: row for row in json.loads(done.stdout)}
    assert told["model"]["health"] == "fail"
    quiet = CliRunner().invoke(cli, ["doctor", "--quiet"], env=variables)
    assert "ok" not in quiet.stdout.split()
