"""Which blobs are in use, and the deletion of those that are not.

Rows of all tenants share blobs, so these queries look across tenants and answer keys only. A blob's
advisory lock, held to the end of the transaction, keeps one request from deleting what another is
about to use.
"""

from collections.abc import Collection

from sqlalchemy import delete, select, text, union
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from db.blobs import BlobStore
from db.tables import Document, DoomedBlob, Page

SWEEP_COUNT = 500
BACKUP_LOCK = 0x646F636C6F6F70  # "docloop"; held by `db.backup` while it copies blobs


async def lock_blobs(session: AsyncSession, keys: Collection[str]) -> None:
    """Hold these keys until the transaction ends; in sorted order, so that two never deadlock."""
    numbers = sorted({int(key[:15], 16) for key in keys})
    if numbers:
        query = text("SELECT pg_advisory_xact_lock(n) FROM unnest(CAST(:numbers AS bigint[])) AS n")
        await session.execute(query, {"numbers": numbers})


async def used_blobs(session: AsyncSession, keys: Collection[str]) -> set[str]:
    """Those of `keys` that a row of any tenant refers to."""
    wanted = list(keys)
    query = union(
        select(Document.blob_key).where(Document.blob_key.in_(wanted)),
        select(Page.blob_key).where(Page.blob_key.in_(wanted)),
    )
    return set((await session.execute(query)).scalars())


async def doom_blobs(session: AsyncSession, keys: Collection[str]) -> None:
    """Note that these are to be deleted after the commit; `sweep_blobs` does it."""
    if keys:
        rows = [{"blob_key": key} for key in sorted(keys)]
        await session.execute(insert(DoomedBlob).values(rows).on_conflict_do_nothing())


async def sweep_blobs(session: AsyncSession, store: BlobStore) -> int:
    """Delete the contents of doomed blobs that are still unused; answers how many.

    Call it in a transaction of its own, after an erasure was committed and when the service starts:
    what a crash left undone is done then. Several sweeps at once share the work. While a backup
    copies, nothing is deleted; its end sweeps.
    """
    free = text("SELECT pg_try_advisory_xact_lock_shared(:lock)")
    if not (await session.execute(free, {"lock": BACKUP_LOCK})).scalar_one():
        return 0
    query = (
        select(DoomedBlob.blob_key)
        .order_by(DoomedBlob.blob_key)
        .limit(SWEEP_COUNT)
        .with_for_update(skip_locked=True)
    )
    keys = (await session.execute(query)).scalars().all()
    await lock_blobs(session, keys)
    unused = set(keys) - await used_blobs(session, keys)
    for key in sorted(unused):
        await store.delete(key)
    await session.execute(delete(DoomedBlob).where(DoomedBlob.blob_key.in_(keys)))
    return len(unused)
