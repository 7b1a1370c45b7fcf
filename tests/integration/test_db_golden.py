from dataclasses import replace
from uuid import UUID

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from db.errors import NotFound
from db.queries.documents import get_document
from db.queries.golden import NewGolden, add_golden, list_golden, remove_golden
from db.queries.predictions import erase_prediction
from tests.factories_db import make_answered, make_document


async def new_golden(session: AsyncSession, tenant_id: UUID, set_name: str) -> NewGolden:
    document = await make_document(session, tenant_id)
    return NewGolden(set_name, document.id, "passport", {"surname": "DOE", "given_names": None})


async def test_golden_sets(session: AsyncSession, tenant_id: UUID, stranger_id: UUID) -> None:
    one = await add_golden(session, tenant_id, await new_golden(session, tenant_id, "passports"))
    await add_golden(session, stranger_id, await new_golden(session, stranger_id, "passports"))
    await add_golden(session, tenant_id, await new_golden(session, tenant_id, "cheques"))
    names = [golden.set_name for golden in await list_golden(session)]
    assert names == ["cheques", "passports", "passports"]
    assert [golden.tenant_id for golden in await list_golden(session, "passports")] == [
        tenant_id,
        stranger_id,
    ]
    assert list(one.reference) == ["surname", "given_names"]
    await remove_golden(session, tenant_id, one.id)
    assert len(await list_golden(session, "passports")) == 1
    assert await get_document(session, tenant_id, one.document_id)


async def test_a_better_reference_takes_the_place(session: AsyncSession, tenant_id: UUID) -> None:
    new = await new_golden(session, tenant_id, "passports")
    first = await add_golden(session, tenant_id, new)
    better = replace(new, reference={"surname": "ROE"}, asked_fields=("surname",))
    again = await add_golden(session, tenant_id, better)
    assert again.id == first.id
    (found,) = await list_golden(session)
    assert (found.reference, found.asked_fields) == ({"surname": "ROE"}, ["surname"])


async def test_another_tenants_documents_and_examples_stay_alone(
    session: AsyncSession, tenant_id: UUID, stranger_id: UUID
) -> None:
    new = await new_golden(session, tenant_id, "passports")
    with pytest.raises(NotFound, match="document"):
        await add_golden(session, stranger_id, new)
    golden = await add_golden(session, tenant_id, new)
    with pytest.raises(NotFound, match="golden example"):
        await remove_golden(session, stranger_id, golden.id)
    assert len(await list_golden(session)) == 1


async def test_an_erased_document_leaves_its_sets(session: AsyncSession, tenant_id: UUID) -> None:
    new = await new_golden(session, tenant_id, "passports")
    await add_golden(session, tenant_id, new)
    document = await get_document(session, tenant_id, new.document_id)
    prediction = await make_answered(session, tenant_id, document=document)
    await erase_prediction(session, tenant_id, prediction.id, actor="a")
    assert await list_golden(session) == []
