"""A backup taken while documents come and go, restored into an empty place: the same content."""

import asyncio
import json
import shutil
from pathlib import Path
from uuid import UUID

import psycopg
import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from api.cli import app as cli
from api.settings import Settings
from db.backup import BLOBS, MANIFEST, BackupFailed, Manifest, digest_tables, take_backup
from db.blobs import FolderBlobStore
from db.queries.blobs import BACKUP_LOCK, sweep_blobs
from db.queries.predictions import erase_prediction
from db.restore import restore_backup, verify_backup
from tests.factories_api import Serving, document, form, serving


def blob_files(data_dir: Path) -> list[Path]:
    return [path for path in (data_dir / BLOBS).rglob("*") if path.is_file()]


async def load(up: Serving, stop: asyncio.Event, done: list[str], name: str) -> tuple[int, int]:
    """Documents, corrections and erasures until told to stop; how many were made and erased."""
    made = erased = 0
    tenant_id = await up.tenant_id()
    while not stop.is_set():
        found = await up.extract(**form(document(f"load {name} {made}"), document_type="receipt"))
        made += 1
        done.append(found["id"])
        said = {"prediction_id": found["id"], "verdict": "correct"}
        assert (await up.client.post("/feedback", json=said)).status_code == 201
        if made % 3 == 0:
            async with up.sessions.begin() as session:
                await erase_prediction(session, tenant_id, UUID(found["id"]), actor="test")
            async with up.sessions.begin() as session:
                await sweep_blobs(session, up.services.blobs)
            erased += 1
    return made, erased


async def test_a_backup_under_load_restores_to_the_same_counts_and_hashes(
    database_url: str, empty_url: str, tmp_path: Path
) -> None:
    source, target, other = tmp_path / "var", tmp_path / "backups" / "one", tmp_path / "new"
    async with serving(database_url, source) as up:
        stop = asyncio.Event()
        done: list[str] = []
        working = [asyncio.create_task(load(up, stop, done, name)) for name in "ab"]
        async with asyncio.timeout(60):
            while len(done) < 12:  # noqa: ASYNC110 - as many as it takes
                await asyncio.sleep(0.05)
        manifest = await asyncio.to_thread(
            take_backup, database_url, source, target, version="test"
        )
        before = len(done)
        async with asyncio.timeout(60):
            while len(done) == before:  # noqa: ASYNC110 - the load goes on after it
                await asyncio.sleep(0.05)
        stop.set()
        made = [await task for task in working]
    assert sum(count for count, _ in made) > manifest.tables["predictions"].count >= 6
    assert sum(count for _, count in made) >= 2, "nothing was erased meanwhile"
    restored = await asyncio.to_thread(restore_backup, target, empty_url, other)
    assert restored == manifest
    with psycopg.connect(empty_url) as connection:
        assert digest_tables(connection) == manifest.tables
        keys = {
            row[0]
            for row in connection.execute(
                "SELECT blob_key FROM documents UNION SELECT blob_key FROM pages"
            )
        }
    # Every file that a row needs is there, and opens; no other is.
    assert {path.name for path in blob_files(other)} == keys
    store = FolderBlobStore(other / BLOBS)
    for key in keys:
        await store.get(key)
    # And the service answers from it.
    async with serving(empty_url, other) as again:
        listed = (await again.client.get("/predictions?limit=1")).json()
        assert len(listed["predictions"]) == 1


async def test_while_a_backup_copies_nothing_is_deleted(database_url: str, tmp_path: Path) -> None:
    async with serving(database_url, tmp_path) as up:
        found = await up.extract()
        blobs = FolderBlobStore(tmp_path / "blobs")
        before = {path.name for path in blob_files(tmp_path)}
        with psycopg.connect(database_url, autocommit=True) as guard:
            guard.execute("SELECT pg_advisory_lock(%s)", [BACKUP_LOCK])
            response = await up.client.delete(f"/predictions/{found['id']}")
            assert response.status_code == 204
            assert {path.name for path in blob_files(tmp_path)} == before
        async with up.sessions.begin() as session:
            assert await sweep_blobs(session, blobs) == len(before)
        assert not blob_files(tmp_path)


async def test_what_is_damaged_or_not_empty_is_refused(
    database_url: str, empty_url: str, tmp_path: Path
) -> None:
    source, target = tmp_path / "var", tmp_path / "backup"
    async with serving(database_url, source) as up:
        await up.extract()
    manifest = take_backup(database_url, source, target, version="test")
    with pytest.raises(BackupFailed, match="is there already"):
        take_backup(database_url, source, target, version="test")
    with pytest.raises(BackupFailed, match="has tables already"):
        restore_backup(target, database_url, tmp_path / "new")
    with pytest.raises(BackupFailed, match="is not empty"):
        restore_backup(target, empty_url, source)
    # A file that is shorter by a byte; then a count that is not the table's.
    name = next(name for name in manifest.files if name.startswith(BLOBS))
    damaged = tmp_path / "damaged"
    shutil.copytree(target, damaged)
    (damaged / name).write_bytes((damaged / name).read_bytes()[:-1])
    with pytest.raises(BackupFailed, match="missing or damaged"):
        restore_backup(damaged, empty_url, tmp_path / "new")
    told = json.loads((target / MANIFEST).read_text())
    told["tables"]["documents"]["count"] += 1
    (target / MANIFEST).write_text(json.dumps(told))
    with pytest.raises(BackupFailed, match="documents has"):
        restore_backup(target, empty_url, tmp_path / "new")
    # Nothing is left behind, so that the next attempt finds an empty place.
    assert not (tmp_path / "new" / BLOBS).exists()
    with psycopg.connect(empty_url) as connection:
        assert digest_tables(connection) == {}


async def test_a_missing_blob_fails_the_backup_and_leaves_nothing(
    database_url: str, tmp_path: Path
) -> None:
    source, target = tmp_path / "var", tmp_path / "backup"
    async with serving(database_url, source) as up:
        await up.extract()
    blob_files(source)[0].unlink()
    with pytest.raises(BackupFailed, match="is missing"):
        take_backup(database_url, source, target, version="test")
    assert not target.exists()
    assert not target.with_name("backup.partial").exists()


async def test_the_commands_back_up_verify_and_restore(
    database_url: str, empty_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with serving(database_url, tmp_path / "var") as up:
        await up.extract()

    def call(url: str, folder: str, *arguments: str) -> tuple[int, str, str]:
        variables = {"DATABASE_URL": url, "DOCLOOP_DATA_DIR": str(tmp_path / folder)}
        done = CliRunner().invoke(cli, list(arguments), env=variables)
        return done.exit_code, done.stdout.strip(), done.stderr

    def commands() -> None:
        status, path, said = call(database_url, "var", "backup", "kept", "--keep", "1")
        assert status == 0, said
        assert "verified by restoring" in " ".join(said.split())
        assert Manifest.read(Path(path)).blob_count == 2
        status, _, said = call(empty_url, "new", "restore", path)
        assert status == 0, said
        assert call(empty_url, "new", "restore", path)[0] == 1, "it is not empty any more"

    await asyncio.to_thread(commands)
    with psycopg.connect(empty_url) as connection:
        told = connection.execute("SELECT action FROM audit_events ORDER BY id").fetchall()
    assert told[-1] == ("backup.restored",)
    with psycopg.connect(database_url) as connection:
        told = connection.execute("SELECT action FROM audit_events ORDER BY id").fetchall()
    assert told[-1] == ("backup.done",)


def test_a_backup_is_verified_in_a_server_of_its_own(database_url: str, tmp_path: Path) -> None:
    settings = Settings(
        _env_file=None, database_url=SecretStr(database_url), data_dir=tmp_path / "var"
    )
    manifest = take_backup(database_url, settings.data_dir, tmp_path / "b", version="test")
    assert verify_backup(tmp_path / "b") == manifest
