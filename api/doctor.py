"""What may be wrong with an installation, and how to mend each; `docloop doctor` prints it.

A check is a function from the settings to findings. It changes nothing, and it does not start what
does not run, so that it can be called beside a service that is in trouble.
"""

import asyncio
import importlib.util
import os
import shutil
import socket
import stat
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import httpx
import psutil

from api.settings import Settings, unknown_variables

_LEAST_MEMORY_BYTES = 6_000_000_000
_LEAST_FREE_RATIO = 0.1
_LEAST_FREE_BYTES = 2_000_000_000
_OLD_BACKUP_SECONDS = 26 * 3600
_TIMEOUT_SECONDS = 3.0
_OLDEST_SERVER = 150000
_SAMPLE = 20


class Health(StrEnum):
    """How a finding is meant."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        what: the part.
        health: whether it works.
        said: what was found.
        mend: what to do; "" where nothing is to be done.
    """

    what: str
    health: Health
    said: str
    mend: str = ""


Check = Callable[[Settings], Iterator[Finding]]


def examine(settings: Settings) -> Iterator[Finding]:
    """Every finding, check by check; a check that breaks is a finding too."""
    for check in CHECKS:
        try:
            yield from check(settings)
        except Exception as error:  # noqa: BLE001 - one that breaks must not hide the others
            name = check.__name__.removeprefix("check_").replace("_", " ")
            yield Finding(name, Health.FAIL, f"could not be looked at: {type(error).__name__}")


def check_machine(_settings: Settings) -> Iterator[Finding]:
    """Python and memory."""
    version = ".".join(map(str, sys.version_info[:3]))
    yield Finding("python", Health.OK, version)
    total = psutil.virtual_memory().total
    said = f"{total / 1e9:.1f} GB of memory, {os.cpu_count()} cores"
    if total < _LEAST_MEMORY_BYTES:
        mend = "The default model needs 8 GB: lower DOCLOOP_KV_CACHE_BYTES, or add memory."
        yield Finding("machine", Health.WARN, said, mend)
    else:
        yield Finding("machine", Health.OK, said)


def check_settings(settings: Settings) -> Iterator[Finding]:
    """Variables that mean nothing, and secrets that others can read."""
    if unknown := unknown_variables():
        mend = "Remove it, or look for the right name: docloop config --describe."
        said = f"no setting of docloop: {', '.join(unknown)}"
        yield Finding("settings", Health.WARN, said, mend)
    env = Path(".env")
    if env.is_file() and stat.S_IMODE(env.stat().st_mode) & 0o077:
        yield Finding("settings", Health.WARN, "others can read .env", "chmod 600 .env")
    if settings.blob_key is None:
        mend = "Set DOCLOOP_BLOB_KEY (openssl rand -base64 32), and keep a copy of it elsewhere."
        yield Finding("encryption", Health.WARN, "files are stored in the clear", mend)
    else:
        yield Finding("encryption", Health.OK, "files are encrypted")


def check_disk(settings: Settings) -> Iterator[Finding]:
    """The data folder: writable, with room."""
    folder = settings.data_dir.expanduser().absolute()
    above = next(step for step in (folder, *folder.parents) if step.exists())
    if not os.access(above, os.W_OK | os.X_OK):
        mend = f"Give it to the account that runs docloop: chown -R $(id -un) {folder}"
        yield Finding("data folder", Health.FAIL, f"{above} cannot be written", mend)
        return
    usage = shutil.disk_usage(above)
    said = f"{folder}, {usage.free / 1e9:.1f} GB free"
    if usage.free < _LEAST_FREE_BYTES or usage.free / usage.total < _LEAST_FREE_RATIO:
        mend = "See the runbook DocloopDiskFull: old runs, rejected versions, DOCLOOP_RETENTION."
        yield Finding("data folder", Health.WARN, said, mend)
    else:
        yield Finding("data folder", Health.OK, said)


def check_model(settings: Settings) -> Iterator[Finding]:
    """The model folder, or the servers that are named in its place."""
    from api.model_source import find_traits
    from extraction.model_folder import BadModelFolder

    if settings.engine_urls:
        yield from _remote_engines(settings)
        return
    try:
        traits = find_traits(settings)
    except (ValueError, BadModelFolder) as error:
        yield Finding(
            "model", Health.FAIL, str(error), "make assemble, or another DOCLOOP_MODEL_DIR"
        )
        return
    if traits is None:
        mend = "make assemble puts the default model together; or set DOCLOOP_MODEL_DIR."
        yield Finding("model", Health.FAIL, f"there is none in {settings.model_dir}", mend)
    else:
        yield Finding("model", Health.OK, f"{traits.version} in {settings.model_dir}")
    if importlib.util.find_spec("vllm") is None:
        mend = "make install; or name model servers in DOCLOOP_ENGINE_URLS."
        yield Finding("engine", Health.FAIL, "vLLM is not installed", mend)


def check_training(_settings: Settings) -> Iterator[Finding]:
    """Whether this installation can train."""
    needed = ("torch", "transformers", "trl", "peft", "datasets", "accelerate")
    missing = [name for name in needed if importlib.util.find_spec(name) is None]
    if missing:
        mend = "make install installs them; with pip it is the extra `train`."
        yield Finding("training", Health.WARN, f"missing: {', '.join(missing)}", mend)
    else:
        yield Finding("training", Health.OK, "the packages are there")


def check_service(settings: Settings) -> Iterator[Finding]:
    """Whether the service answers, and what it waits for."""
    address = f"http://{_reachable(settings.host)}:{settings.port}"
    try:
        answer = httpx.get(f"{address}/readyz", timeout=_TIMEOUT_SECONDS, trust_env=False)
        found: dict[str, Any] = answer.json()
        waiting = found["waiting_for"]
    except httpx.TransportError:
        with socket.socket() as probe:
            probe.settimeout(_TIMEOUT_SECONDS)
            taken = probe.connect_ex((_reachable(settings.host), settings.port)) == 0
        if taken:
            mend = "Another program listens there (ss -ltnp); stop it, or set DOCLOOP_PORT."
            yield Finding("service", Health.FAIL, f"{address} does not speak HTTP", mend)
        else:
            yield Finding("service", Health.WARN, f"nothing at {address}", "docloop serve")
        return
    except (ValueError, KeyError, TypeError):
        mend = "Another program has the port; stop it, or set DOCLOOP_PORT."
        yield Finding("service", Health.FAIL, f"{address} is not docloop", mend)
        return
    if problem := found.get("problem"):
        yield Finding("served version", Health.WARN, problem, "docloop models list says more.")
    for part in waiting:
        said = f"waits for {part['part']}: {part.get('reason') or part['progress']}"
        yield Finding(
            "service", Health.FAIL, said, "log/docloop.jsonl and log/engine.log say more."
        )
    if not waiting:
        yield Finding("service", Health.OK, f"ready at {address}, {found.get('model_version')}")


def check_storage(settings: Settings) -> Iterator[Finding]:
    """The database, and whether the files that it names are there and open."""
    yield from asyncio.run(_storage(settings))


async def _storage(settings: Settings) -> list[Finding]:
    from sqlalchemy.exc import SQLAlchemyError

    from db.migrate import current, head
    from db.sessions import make_engine, make_sessions

    url = _running_database(settings)
    if url is None:
        said, mend = "the embedded one does not run now", "It starts with docloop serve."
        return [Finding("database", Health.WARN, said, mend)]
    engine = make_engine(url, connect_timeout_seconds=int(_TIMEOUT_SECONDS))
    try:
        revision, wanted = await asyncio.to_thread(current, url), head()
        async with make_sessions(engine)() as session:
            if revision != wanted:
                said = f"it is at revision {revision}, and this version needs {wanted}"
                mend = (
                    "Restart docloop serve, which migrates; or install the version that wrote it."
                )
                return [Finding("database", Health.FAIL, said, mend)]
            return [*await _database(session), *await _blobs(session, settings)]
    except (SQLAlchemyError, OSError) as error:
        mend = "Is it up, and are address and password in DATABASE_URL right?"
        said = f"it does not answer ({type(error).__name__})"
        return [Finding("database", Health.FAIL, said, mend)]
    finally:
        await engine.dispose()


async def _database(session: Any) -> Sequence[Finding]:
    from sqlalchemy import func, select, text

    from db.queries.quarantine import count_held
    from db.queries.watching import read_standing
    from db.tables import ApiKey

    number = int((await session.execute(text("SHOW server_version_num"))).scalar_one())
    found = [Finding("database", Health.OK, f"PostgreSQL {number // 10000}, migrated")]
    if number < _OLDEST_SERVER:
        found = [Finding("database", Health.FAIL, f"PostgreSQL {number // 10000}", "15 or later.")]
    keys = select(func.count()).select_from(ApiKey).where(ApiKey.revoked_at.is_(None))
    key_count = (await session.execute(keys)).scalar_one()
    held = await count_held(session)
    if key_count == 0:
        found.append(Finding("keys", Health.FAIL, "none is in force", "docloop keys create NAME"))
    elif key_count == 1 and held:
        said = f"{held} corrections wait for a second person, and there is one key"
        mend = "docloop keys create SECOND --scope review"
        found.append(Finding("keys", Health.WARN, said, mend))
    else:
        found.append(Finding("keys", Health.OK, f"{key_count} in force"))
    standing = await read_standing(session)
    age = time.time() - standing.last_backup_seconds
    if standing.last_backup_seconds == 0:
        found.append(Finding("backup", Health.WARN, "none was ever taken", "docloop backup FOLDER"))
    elif age > _OLD_BACKUP_SECONDS:
        said = f"the last one is {age / 3600:.0f} hours old"
        found.append(Finding("backup", Health.WARN, said, "docloop backup FOLDER"))
    else:
        found.append(Finding("backup", Health.OK, f"{age / 3600:.1f} hours old"))
    return found


async def _blobs(session: Any, settings: Settings) -> Sequence[Finding]:
    """The newest documents' files, opened with the key that is configured."""
    from sqlalchemy import select

    from db.blobs import FolderBlobStore
    from db.errors import BlobCorrupt, BlobMissing, BlobUnreadable
    from db.tables import Document

    folder = settings.data_dir.expanduser() / "blobs"
    newest = select(Document.id, Document.blob_key).order_by(Document.id.desc()).limit(_SAMPLE)
    rows = (await session.execute(newest)).all()
    if not folder.is_dir():
        if not rows:
            return []
        said = f"{folder} is not there, and {len(rows)} or more documents need it"
        mend = "Set DOCLOOP_DATA_DIR to where it is, or docloop restore a backup."
        return [Finding("files", Health.FAIL, said, mend)]
    store = FolderBlobStore(folder, settings.blob_key_bytes)
    for document_id, key in rows:
        try:
            await store.get(key)
        except BlobUnreadable as error:
            mend = "Set DOCLOOP_BLOB_KEY to the key that the files were written with."
            return [Finding("files", Health.FAIL, error.why, mend)]
        except (BlobMissing, BlobCorrupt) as error:
            said = f"the file of document {document_id} is {error.slug.removeprefix('blob-')}"
            mend = "Copy blobs/ from a backup; each file is named by its content."
            return [Finding("files", Health.FAIL, said, mend)]
    return [Finding("files", Health.OK, f"the newest {len(rows)} can be read")]


def _running_database(settings: Settings) -> str | None:
    """The database's address; None where it is the embedded one and does not run."""
    from db.embedded import attach

    if settings.database_url is not None:
        return settings.database_url.get_secret_value()
    return attach(settings.data_dir / "postgres")


def _remote_engines(settings: Settings) -> Iterator[Finding]:
    key = settings.engine_api_key
    headers = {} if key is None else {"authorization": f"Bearer {key.get_secret_value()}"}
    for address in settings.engine_urls:
        url = f"{address.rstrip('/').removesuffix('/v1')}/v1/models"
        try:
            answer = httpx.get(url, headers=headers, timeout=_TIMEOUT_SECONDS)
        except httpx.TransportError as error:
            said = f"{address} cannot be reached ({type(error).__name__})"
            mend = "Does vLLM run there, and does the network let this machine through?"
            yield Finding("engine", Health.FAIL, said, mend)
            continue
        if answer.status_code in {401, 403}:
            mend = "Set DOCLOOP_ENGINE_API_KEY to the key that vLLM was started with."
            yield Finding("engine", Health.FAIL, f"{address} refuses the key", mend)
            continue
        names: list[str] = []
        with suppress(ValueError, KeyError, TypeError):
            names = [row["id"] for row in answer.json()["data"]]
        if settings.model_version and settings.model_version not in names:
            mend = "Start it with --served-model-name, or set DOCLOOP_MODEL_VERSION."
            said = f"{address} serves {', '.join(names) or 'nothing'}"
            yield Finding("engine", Health.FAIL, said, mend)
        else:
            yield Finding("engine", Health.OK, f"{address} serves {', '.join(names)}")


def _reachable(host: str) -> str:
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound


CHECKS: tuple[Check, ...] = (
    check_machine,
    check_settings,
    check_disk,
    check_model,
    check_training,
    check_storage,
    check_service,
)
