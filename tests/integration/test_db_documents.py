import hashlib
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from db.queries.document_types import get_type, list_types, put_type
from db.queries.documents import add_document, is_holdout, list_pages, set_lines
from tests.factories_db import new_document


async def test_the_same_bytes_are_the_same_document(session: AsyncSession, tenant_id: UUID) -> None:
    new = new_document("three pages", page_count=3)
    first = await add_document(session, tenant_id, new)
    again = await add_document(session, tenant_id, new)
    assert first.id == again.id
    assert first.page_count == 3
    assert [page.index for page in await list_pages(session, tenant_id, first.id)] == [0, 1, 2]


async def test_two_tenants_have_their_own_rows(
    session: AsyncSession, tenant_id: UUID, stranger_id: UUID
) -> None:
    new = new_document("sent by both")
    mine = await add_document(session, tenant_id, new)
    theirs = await add_document(session, stranger_id, new)
    assert mine.id != theirs.id
    assert mine.holdout == theirs.holdout


async def test_lines_of_a_page(session: AsyncSession, tenant_id: UUID) -> None:
    document = await add_document(session, tenant_id, new_document())
    (page,) = await list_pages(session, tenant_id, document.id)
    assert page.lines is None
    await set_lines(session, tenant_id, document.id, 0, [{"text": "TOTAL 9.00", "score": 0.98}])
    await session.refresh(page)
    assert page.lines == [{"text": "TOTAL 9.00", "score": 0.98}]


def test_one_document_in_five_is_held_out() -> None:
    digests = [hashlib.sha256(str(number).encode()).digest() for number in range(10_000)]
    held_out = [digest for digest in digests if is_holdout(digest)]
    assert 1_880 < len(held_out) < 2_120  # 2,000, three standard deviations of 40
    assert all(is_holdout(digest) for digest in held_out)


async def test_types_are_versioned_and_keep_the_order_of_fields(
    session: AsyncSession, tenant_id: UUID
) -> None:
    first = {"type": "object", "properties": {"zeta": {}, "alpha": {}}}
    second = {"type": "object", "properties": {"alpha": {}, "zeta": {}}}
    assert (await put_type(session, tenant_id, "ticket", first)).is_new
    assert not (await put_type(session, tenant_id, "ticket", first)).is_new
    changed = await put_type(session, tenant_id, "ticket", second)
    assert (changed.is_new, changed.stored.version) == (True, 2)
    session.expunge_all()
    latest = await get_type(session, tenant_id, "ticket")
    assert list(latest.json_schema["properties"]) == ["alpha", "zeta"]
    old = await get_type(session, tenant_id, "ticket", version=1)
    assert list(old.json_schema["properties"]) == ["zeta", "alpha"]
    assert [stored.version for stored in await list_types(session, tenant_id)] == [2]
