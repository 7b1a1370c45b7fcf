"""Where files and page images lie: contents, each under a key that is derived from the content.

The order that loses nothing: insert the row with `key_for(content)` (which takes the key's lock,
see `db.queries.blobs`), then `put`, then commit. A crash in between leaves at most a file without
a row.
"""

import asyncio
import contextlib
import errno
import hashlib
import hmac
import os
import re
import tempfile
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from db.errors import BlobCorrupt, BlobMissing, BlobStoreFull, BlobUnreadable

KEY_BYTES = 32
NONCE_BYTES = 12
TAG_BYTES = 16
MARK_BYTES = 8
PLAIN = b"\x01"
SEALED = b"\x02"
KEY_PATTERN = re.compile(r"[0-9a-f]{64}")


class BlobStore(Protocol):
    """A content-addressed store. Every method may be called by many at once."""

    def key_for(self, content: bytes) -> str:
        """The key that `put` would give to `content`."""
        ...

    async def put(self, content: bytes) -> str:
        """Store `content` durably and answer its key; the same content again costs nothing.

        Raises:
            BlobStoreFull: there is no room.
        """
        ...

    async def get(self, key: str) -> bytes:
        """The content under `key`.

        Raises:
            BlobMissing: there is none.
            BlobUnreadable: it is encrypted with another key than the one configured.
            BlobCorrupt: it is not what was put.
        """
        ...

    async def delete(self, key: str) -> None:
        """Remove the content; nothing happens where there is none."""
        ...

    async def exists(self, key: str) -> bool:
        """Whether there is content under `key`."""
        ...


class FolderBlobStore:
    """Blobs as files in 256 folders, by the first two digits of their keys.

    One level: with a second one, nearly every blob of a store of less than some 100,000 would come
    with new folders, each flushed to disk.

    A file starts with one version byte. `01`: the content follows. `02`: a mark of the encryption
    key (8 bytes), a nonce (12), then AES-256-GCM of the content, with version, mark and blob key as
    associated data, so that no file passes for another.

    Without an encryption key, a blob's key is the SHA-256 of its content. With one it is the
    HMAC-SHA-256, so that who sees keys cannot tell whether a known file is among them. Both subkeys
    are derived from the one given.

    Args:
        folder: made where it is missing.
        encryption_key: 32 bytes, or None to store in the clear.

    Raises:
        ValueError: an encryption key of another length.
    """

    def __init__(self, folder: Path, encryption_key: bytes | None = None) -> None:
        if encryption_key is not None and len(encryption_key) != KEY_BYTES:
            raise ValueError(f"an encryption key has {KEY_BYTES} bytes, not {len(encryption_key)}")
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._naming: bytes | None = None
        self._cipher: AESGCM | None = None
        self._mark = b""
        if encryption_key is not None:
            self._naming = _derive(encryption_key, b"docloop blob names")
            self._cipher = AESGCM(_derive(encryption_key, b"docloop blob contents"))
            self._mark = _derive(encryption_key, b"docloop key mark")[:MARK_BYTES]

    def key_for(self, content: bytes) -> str:
        """See `BlobStore.key_for`."""
        if self._naming is None:
            return hashlib.sha256(content).hexdigest()
        return hmac.new(self._naming, content, hashlib.sha256).hexdigest()

    async def put(self, content: bytes) -> str:
        """See `BlobStore.put`."""
        return await asyncio.to_thread(self._put, content)

    async def get(self, key: str) -> bytes:
        """See `BlobStore.get`."""
        return await asyncio.to_thread(self._get, key)

    async def delete(self, key: str) -> None:
        """See `BlobStore.delete`."""
        await asyncio.to_thread(self._delete, key)

    async def exists(self, key: str) -> bool:
        """See `BlobStore.exists`."""
        return await asyncio.to_thread(self._path(key).is_file)

    def _path(self, key: str) -> Path:
        """Where the blob lies; a key that is none, as one with a path in it, is missing."""
        if not KEY_PATTERN.fullmatch(key):
            raise BlobMissing(key)
        return self.folder / key[:2] / key

    def _put(self, content: bytes) -> str:
        key = self.key_for(content)
        path = self._path(key)
        if path.is_file() and path.stat().st_size == len(content) + self._overhead_bytes:
            return key
        sealed = self._seal(key, content)
        try:
            _make_folder(path.parent)
            _write_durably(path, sealed)
        except OSError as error:
            if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
                raise BlobStoreFull(key, len(content)) from error
            raise
        return key

    def _get(self, key: str) -> bytes:
        try:
            stored = self._path(key).read_bytes()
        except FileNotFoundError:
            raise BlobMissing(key) from None
        content = self._open(key, stored)
        if not hmac.compare_digest(self._name_of(stored, content), key):
            raise BlobCorrupt(key, "its content does not match its key")
        return content

    def _delete(self, key: str) -> None:
        path = self._path(key)
        path.unlink(missing_ok=True)
        if path.parent.is_dir():
            _sync_folder(path.parent)

    @property
    def _overhead_bytes(self) -> int:
        sealed = len(SEALED) + MARK_BYTES + NONCE_BYTES + TAG_BYTES
        return len(PLAIN) if self._cipher is None else sealed

    def _name_of(self, stored: bytes, content: bytes) -> str:
        """The key of content of this version; a store may turn encryption on later."""
        if stored[:1] == PLAIN:
            return hashlib.sha256(content).hexdigest()
        return self.key_for(content)

    def _seal(self, key: str, content: bytes) -> bytes:
        if self._cipher is None:
            return PLAIN + content
        nonce = os.urandom(NONCE_BYTES)
        header = SEALED + self._mark
        return header + nonce + self._cipher.encrypt(nonce, content, header + key.encode())

    def _open(self, key: str, stored: bytes) -> bytes:
        version, rest = stored[:1], stored[1:]
        if version == PLAIN:
            return rest
        if version != SEALED or len(rest) < MARK_BYTES + NONCE_BYTES + TAG_BYTES:
            raise BlobCorrupt(key, "its header is none that this version knows")
        mark, nonce = rest[:MARK_BYTES], rest[MARK_BYTES : MARK_BYTES + NONCE_BYTES]
        if self._cipher is None:
            raise BlobUnreadable(key, "it is encrypted, and no encryption key is configured")
        if mark != self._mark:
            raise BlobUnreadable(key, "it was encrypted with another key than the one configured")
        try:
            sealed = rest[MARK_BYTES + NONCE_BYTES :]
            return self._cipher.decrypt(nonce, sealed, SEALED + mark + key.encode())
        except InvalidTag:
            raise BlobCorrupt(key, "its seal is broken") from None


def _derive(key: bytes, purpose: bytes) -> bytes:
    """A subkey: HMAC-SHA-256 as a key derivation function (NIST SP 800-108, one block)."""
    return hmac.new(key, purpose, hashlib.sha256).digest()


def _make_folder(folder: Path) -> None:
    """Make a folder of the store, its entry durable."""
    if not folder.is_dir():
        folder.mkdir(exist_ok=True, mode=0o700)
        _sync_folder(folder.parent)


def _write_durably(path: Path, content: bytes) -> None:
    """All of the content under its name or nothing, whenever the power fails."""
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=".draft-")
    try:
        with os.fdopen(handle, "wb") as sink:
            sink.write(content)
            sink.flush()
            os.fsync(sink.fileno())
        Path(draft).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(draft).unlink()
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """A rename lasts once its folder is on disk (fsync(2))."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
