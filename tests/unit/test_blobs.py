import asyncio
import errno
import os
from pathlib import Path

import pytest

from db.blobs import BlobStore, FolderBlobStore
from db.errors import BlobCorrupt, BlobMissing, BlobStoreFull, BlobUnreadable

KEY = bytes(range(32))
OTHER_KEY = bytes(range(1, 33))
CONTENT = b"P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<" * 100


@pytest.fixture(params=[None, KEY], ids=["clear", "encrypted"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> FolderBlobStore:
    return FolderBlobStore(tmp_path / "blobs", request.param)


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize("content", [b"", b"x", CONTENT, os.urandom(100_000)])
async def test_what_is_put_is_got(store: FolderBlobStore, content: bytes) -> None:
    protocol: BlobStore = store
    key = await protocol.put(content)
    assert key == protocol.key_for(content)
    assert await protocol.exists(key)
    assert await protocol.get(key) == content
    await protocol.delete(key)
    await protocol.delete(key)
    assert not await protocol.exists(key)
    with pytest.raises(BlobMissing):
        await protocol.get(key)


async def test_the_same_content_is_stored_once(store: FolderBlobStore) -> None:
    keys = await asyncio.gather(*(store.put(CONTENT) for _ in range(20)))
    assert len(set(keys)) == 1
    (path,) = files(store.folder)
    assert path == store.folder / keys[0][:2] / keys[0]
    before = path.stat().st_mtime_ns
    await store.put(CONTENT)
    assert path.stat().st_mtime_ns == before


async def test_a_cut_file_is_replaced_by_the_next_put(store: FolderBlobStore) -> None:
    key = await store.put(CONTENT)
    (path,) = files(store.folder)
    path.write_bytes(path.read_bytes()[:50])
    await store.put(CONTENT)
    assert await store.get(key) == CONTENT


async def test_files_are_for_their_owner_alone(store: FolderBlobStore) -> None:
    await store.put(CONTENT)
    (path,) = files(store.folder)
    assert path.stat().st_mode & 0o077 == 0


async def test_an_encrypted_store_shows_neither_content_nor_fingerprint(tmp_path: Path) -> None:
    sealed = FolderBlobStore(tmp_path / "a", KEY)
    key = await sealed.put(CONTENT)
    (path,) = files(sealed.folder)
    assert b"ERIKSSON" not in path.read_bytes()
    assert key != FolderBlobStore(tmp_path / "b").key_for(CONTENT)
    assert key != FolderBlobStore(tmp_path / "c", OTHER_KEY).key_for(CONTENT)


@pytest.mark.parametrize("other", [OTHER_KEY, None])
async def test_without_the_right_key_it_says_so(tmp_path: Path, other: bytes | None) -> None:
    key = await FolderBlobStore(tmp_path, KEY).put(CONTENT)
    with pytest.raises(BlobUnreadable) as caught:
        await FolderBlobStore(tmp_path, other).get(key)
    assert caught.value.key == key


async def test_what_was_stored_in_the_clear_stays_readable(tmp_path: Path) -> None:
    key = await FolderBlobStore(tmp_path).put(CONTENT)
    assert await FolderBlobStore(tmp_path, KEY).get(key) == CONTENT


@pytest.mark.parametrize(
    "damage",
    [
        lambda stored: stored[:-1] + bytes([stored[-1] ^ 1]),
        lambda stored: stored[:100],
        lambda stored: b"\xff" + stored[1:],
        lambda _: b"",
    ],
    ids=["flipped bit", "cut", "unknown version", "emptied"],
)
async def test_damage_is_found(store: FolderBlobStore, damage: object) -> None:
    key = await store.put(CONTENT)
    (path,) = files(store.folder)
    assert callable(damage)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(BlobCorrupt):
        await store.get(key)


async def test_one_file_does_not_pass_for_another(store: FolderBlobStore) -> None:
    first, second = await store.put(b"first"), await store.put(b"second")
    source = store.folder / first[:2] / first
    source.replace(store.folder / second[:2] / second)
    with pytest.raises(BlobCorrupt):
        await store.get(second)


@pytest.mark.parametrize("key", ["", "../../etc/passwd", "A" * 64, "0" * 63, "0" * 64 + "\n"])
async def test_a_key_that_is_none_reaches_no_file(store: FolderBlobStore, key: str) -> None:
    with pytest.raises(BlobMissing):
        await store.get(key)


async def test_a_full_disk_leaves_nothing_behind(
    store: FolderBlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(BlobStoreFull) as caught:
            await store.put(CONTENT)
    assert caught.value.size_bytes == len(CONTENT)
    assert files(store.folder) == []
    assert await store.get(await store.put(CONTENT)) == CONTENT


def test_a_key_of_another_length_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        FolderBlobStore(tmp_path, b"short")
