"""What one tenant has, another can neither read nor change, through any query."""

import inspect
from collections.abc import Awaitable, Callable
from types import ModuleType
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from db.errors import NotFound
from db.queries import (
    audit,
    blobs,
    corrections,
    document_types,
    documents,
    evaluations,
    golden,
    keys,
    learning,
    live,
    models,
    predictions,
    quarantine,
    runs,
    shadow,
)
from db.tables import Scope, Verdict
from extraction.errors import UnknownType
from tests.factories_db import make_correction, make_document, make_prediction

MODULES: tuple[ModuleType, ...] = (
    *(audit, blobs, corrections, document_types, documents, evaluations, golden, keys, learning),
    *(live, models, predictions, quarantine, runs, shadow),
)

# These only add rows of the tenant that they are given; the database refuses mixed ones.
ADDING = {
    "create_key",
    "add_document",
    "add_with_pages",
    "begin_prediction",
    "put_type",
    "record_event",
}
# An operator's view over all tenants: no tenant id, no values that leave.
ACROSS_TENANTS = {
    "ensure_tenant",
    "find_key",
    "authenticate",
    "lock_blobs",
    "used_blobs",
    "doom_blobs",
    "sweep_blobs",
    "count_unfinished",
    "list_unfinished",
    "hold",
    "mark_screened",
    "list_golden",
    *(
        name
        for module in (evaluations, learning, live, models, runs)
        for name, function in inspect.getmembers(module, inspect.iscoroutinefunction)
        if not name.startswith("_") and function.__module__ == module.__name__
    ),
}


class Victim:
    """Everything that one tenant can have."""

    def __init__(self, session: AsyncSession, tenant_id: UUID) -> None:
        self.session, self.tenant_id = session, tenant_id

    async def fill(self) -> "Victim":
        self.document = await make_document(self.session, self.tenant_id, "secret content")
        new = predictions.NewPrediction(
            self.document.id, "receipt", idempotency_key="k", body_sha256=b"b"
        )
        begun = await predictions.begin_prediction(self.session, self.tenant_id, new)
        self.prediction = begun.prediction
        self.failed = await make_prediction(self.session, self.tenant_id)
        failure = predictions.Answer(error={"type": "engine-unavailable"})
        await predictions.finish_prediction(self.session, self.tenant_id, self.failed.id, failure)
        self.correction = await make_correction(self.session, self.tenant_id, self.prediction.id)
        self.type = await document_types.put_type(
            self.session, self.tenant_id, "ticket", {"type": "object"}
        )
        await quarantine.hold(self.session, self.correction, [{"rule": "r", "detail": "d"}])
        golden_example = golden.NewGolden("set", self.document.id, "receipt", {"total": "1"})
        self.golden = await golden.add_golden(self.session, self.tenant_id, golden_example)
        await shadow.add_shadow_answer(
            self.session, self.tenant_id, shadow.NewShadowAnswer(self.prediction.id, "v-2")
        )
        self.key = await keys.create_key(self.session, self.tenant_id, {Scope.EXTRACT})
        await audit.record_event(
            self.session, self.tenant_id, actor="a", action="b", subject="theirs"
        )
        return self


SILENT = {"set_lines", "remove_golden", "add_shadow_answer"}  # they answer None
Attempt = Callable[[AsyncSession, UUID, Victim], Awaitable[Any]]
ATTEMPTS: dict[str, Attempt] = {
    "list_keys": lambda s, t, _: keys.list_keys(s, t),
    "revoke_key": lambda s, t, v: keys.revoke_key(s, t, v.key.row.id),
    "get_document": lambda s, t, v: documents.get_document(s, t, v.document.id),
    "list_pages": lambda s, t, v: documents.list_pages(s, t, v.document.id),
    "get_page": lambda s, t, v: documents.get_page(s, t, v.document.id, 0),
    "set_lines": lambda s, t, v: documents.set_lines(s, t, v.document.id, 0, ["planted"]),
    "erase_unused_document": lambda s, t, v: documents.erase_unused_document(s, t, v.document.id),
    "find_by_idempotency_key": lambda s, t, _: predictions.find_by_idempotency_key(s, t, "k"),
    "get_prediction": lambda s, t, v: predictions.get_prediction(s, t, v.prediction.id),
    "set_running": lambda s, t, v: predictions.set_running(s, t, v.prediction.id),
    "finish_prediction": lambda s, t, v: predictions.finish_prediction(
        s, t, v.prediction.id, predictions.Answer(record={"total": "0"})
    ),
    "restart_prediction": lambda s, t, v: predictions.restart_prediction(s, t, v.failed.id),
    "list_predictions": lambda s, t, _: predictions.list_predictions(s, t),
    "erase_prediction": lambda s, t, v: predictions.erase_prediction(
        s, t, v.prediction.id, actor="a"
    ),
    "add_correction": lambda s, t, v: corrections.add_correction(
        s, t, corrections.NewCorrection(v.prediction.id, Verdict.UNREADABLE)
    ),
    "add_correction_once": lambda s, t, v: corrections.add_correction_once(
        s, t, corrections.NewCorrection(v.prediction.id, Verdict.UNREADABLE)
    ),
    "count_corrections": lambda s, t, v: corrections.count_corrections(s, t, [v.prediction.id]),
    "get_correction": lambda s, t, v: corrections.get_correction(s, t, v.correction.id),
    "latest_correction": lambda s, t, v: corrections.latest_correction(s, t, v.prediction.id),
    "latest_corrections": lambda s, t, v: corrections.latest_corrections(s, t, [v.prediction.id]),
    "correction_history": lambda s, t, v: corrections.correction_history(s, t, v.prediction.id),
    "list_corrections": lambda s, t, _: corrections.list_corrections(s, t),
    "get_type": lambda s, t, _: document_types.get_type(s, t, "ticket"),
    "retire_type": lambda s, t, _: document_types.retire_type(s, t, "ticket"),
    "list_versions": lambda s, t, _: document_types.list_versions(s, t, "ticket"),
    "list_types": lambda s, t, _: document_types.list_types(s, t),
    "list_events": lambda s, t, _: audit.list_events(s, t),
    "list_held": lambda s, t, _: quarantine.list_held(s, t),
    "count_held": lambda s, t, _: quarantine.count_held(s, t),
    "decide": lambda s, t, v: quarantine.decide(s, t, v.correction.id, accept=True, actor="b"),
    "add_golden": lambda s, t, v: golden.add_golden(
        s, t, golden.NewGolden("other", v.document.id, "receipt", {})
    ),
    "remove_golden": lambda s, t, v: golden.remove_golden(s, t, v.golden.id),
    "add_shadow_answer": lambda s, t, v: shadow.add_shadow_answer(
        s, t, shadow.NewShadowAnswer(v.prediction.id, "v-3")
    ),
    "own_corrections": lambda s, t, v: shadow.own_corrections(s, t, [v.correction.id]),
    "list_shadow_answers": lambda s, t, v: shadow.list_shadow_answers(s, t, v.prediction.id),
}


@pytest.mark.parametrize("name", ATTEMPTS)
async def test_a_stranger_gets_nothing(
    session: AsyncSession, tenant_id: UUID, stranger_id: UUID, name: str
) -> None:
    victim = await Victim(session, tenant_id).fill()
    before = await snapshot(session, victim)
    try:
        answer = await ATTEMPTS[name](session, stranger_id, victim)
    except NotFound:
        answer = None
    except UnknownType as error:
        answer = error.known
    assert not answer
    assert await snapshot(session, victim) == before


@pytest.mark.parametrize("name", sorted(set(ATTEMPTS) - {"erase_unused_document"}))
async def test_the_owner_gets_it(session: AsyncSession, tenant_id: UUID, name: str) -> None:
    """Otherwise a query that never finds anything would pass for isolated."""
    victim = await Victim(session, tenant_id).fill()
    answer = await ATTEMPTS[name](session, tenant_id, victim)
    assert answer or name in SILENT


def test_every_query_is_tried() -> None:
    public = {
        name
        for module in MODULES
        for name, function in inspect.getmembers(module, inspect.iscoroutinefunction)
        if not name.startswith("_") and function.__module__ == module.__name__
    }
    assert public == set(ATTEMPTS) | ADDING | ACROSS_TENANTS


def test_every_query_of_a_tenants_rows_takes_the_tenant() -> None:
    for module in MODULES:
        for name, function in inspect.getmembers(module, inspect.iscoroutinefunction):
            if name in ATTEMPTS or name in ADDING:
                assert "tenant_id" in inspect.signature(function).parameters, name


async def snapshot(session: AsyncSession, victim: Victim) -> tuple[Any, ...]:
    session.expunge_all()
    owner = victim.tenant_id
    prediction = await predictions.get_prediction(session, owner, victim.prediction.id)
    history = await corrections.correction_history(session, owner, victim.prediction.id)
    (key,) = await keys.list_keys(session, owner)
    (page,) = await documents.list_pages(session, owner, victim.document.id)
    return (
        *(prediction.state, prediction.record, prediction.finished_at),
        *([row.id for row in history], key.revoked_at, page.lines),
        *(len(await quarantine.list_held(session, owner)), len(await golden.list_golden(session))),
        len(await shadow.list_shadow_answers(session, owner, victim.prediction.id)),
        len(await audit.list_events(session, owner)),
    )
