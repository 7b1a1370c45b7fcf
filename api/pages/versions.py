"""Model versions: what is served, how each does, what the gate said, and two on one document."""

import json
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import HTMLResponse

from api.auth import Caller, require
from api.dependencies import DbSession, ServicesDep
from api.pages.charts import correction_share, lineage_graph, mean_score, score_chart
from api.pages.fields import text_of
from api.pages.rendering import PageRoute, page
from api.pages.words import headline, label
from api.presentation import human_leaves, merge, show_champion
from api.routes.models import VersionPath, read_model
from api.schemas import LONGEST_NAME
from db.errors import NotFound
from db.queries.comparison import (
    VersionAnswer,
    answers_to,
    list_contested,
    list_decisions,
    live_by_version,
)
from db.queries.corrections import latest_correction
from db.queries.models import get_champion, list_models, list_promotions, previous_version
from db.queries.predictions import get_prediction
from db.queries.runs import get_run, list_runs
from db.tables import RunState, Scope, TrainingRun, Verdict

router = APIRouter(route_class=PageRoute)

CallerDep = Annotated[Caller, Depends(require())]
Version = Annotated[str | None, Query(max_length=LONGEST_NAME)]

_MOST_MODELS = 60
# The report is one file with its own style; a sandbox keeps it from everything of ours.
_REPORT_HEADERS = {
    "content-security-policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
}


@router.get("/versions")
async def show(
    request: Request, session: DbSession, services: ServicesDep, caller: CallerDep
) -> Response:
    """What is served, and everything that leads to the next change of it."""
    champion = await get_champion(session)
    models = await list_models(session, _MOST_MODELS)
    decisions = await list_decisions(session)
    by_candidate = {decision.candidate_id: decision for decision in reversed(decisions)}
    whose = None if Scope.ADMIN in caller.scopes else caller.tenant_id
    live = await live_by_version(session, whose)
    promotions = await list_promotions(session)
    nodes, width, height = lineage_graph(models)
    runs = await list_runs(session, 20)
    return page(
        request,
        "versions.html",
        caller,
        champion=show_champion(champion),
        since=promotions[0].created_at if promotions else None,
        before=await previous_version(session),
        served=services.engine.state().model,
        problem=services.routing.problem or None,
        remote=bool(services.settings.engine_urls) and not services.settings.engine_adapters,
        models=models,
        decisions=by_candidate,
        scores={
            decision.candidate_id: (
                mean_score(decision.inputs.get("champion")),
                mean_score(decision.inputs.get("candidate")),
            )
            for decision in decisions
        },
        live=live,
        shares={model.id: correction_share(live.get(model.id)) for model in models},
        chart=score_chart(decisions),
        nodes=nodes,
        graph=(width, height),
        promotions=promotions[:20],
        runs=[_run(services.settings.data_dir, run) for run in runs],
        contested=(
            await list_contested(session, caller.tenant_id, 8)
            if Scope.EXTRACT in caller.scopes
            else []
        ),
        headline=headline,
    )


@router.get("/versions/compare")
async def compare(
    request: Request,
    session: DbSession,
    caller: Annotated[Caller, Depends(require(Scope.EXTRACT))],
    prediction: UUID | None = None,
    left: Version = None,
    right: Version = None,
) -> Response:
    """Two versions on one document, side by side."""
    contested = await list_contested(session, caller.tenant_id)
    chosen = prediction or (contested[0].prediction.id if contested else None)
    if chosen is None:
        return page(request, "compare.html", caller, contested=[], found=None, headline=headline)
    found = await get_prediction(session, caller.tenant_id, chosen)
    answers = {answer.model_version: answer for answer in await answers_to(session, found)}
    names = list(answers)
    first = left if left in answers else names[0]
    second = right if right in answers and right != first else None
    second = second or next((name for name in names if name != first), None)
    latest = await latest_correction(session, caller.tenant_id, found.id)
    truth: dict[str, Any] | None = None
    if latest is not None and latest.verdict is not Verdict.UNREADABLE:
        truth = merge(found.record or {}, latest.record or {})
    title, more = headline(found.document_type, found.record)
    return page(
        request,
        "compare.html",
        caller,
        contested=contested,
        found=found,
        title=title,
        more=more,
        answers=answers,
        left=answers[first],
        right=answers[second] if second else None,
        rows=_rows(answers[first], answers[second] if second else None, truth),
        truth=truth is not None,
        headline=headline,
    )


@router.get("/versions/{version}")
async def show_one(
    request: Request,
    version: VersionPath,
    session: DbSession,
    services: ServicesDep,
    caller: CallerDep,
) -> Response:
    """One version: its manifest, its lineage, the gate's reasons."""
    detail = await read_model(version, session, services)
    live = await live_by_version(
        session, None if Scope.ADMIN in caller.scopes else caller.tenant_id
    )
    decision = detail.decision
    checks = decision.inputs.get("checks", []) if decision else []
    return page(
        request,
        "version.html",
        caller,
        detail=detail,
        champion=show_champion(await get_champion(session)),
        counts=live.get(version),
        share=correction_share(live.get(version)),
        checks=[check for check in checks if isinstance(check, dict)],
        scores=(
            mean_score(decision.inputs.get("champion")) if decision else None,
            mean_score(decision.inputs.get("candidate")) if decision else None,
        ),
        types=_changes(decision.inputs.get("types") if decision else None),
        fields=_changes(decision.inputs.get("fields") if decision else None),
        manifest=json.dumps(detail.manifest, indent=2, ensure_ascii=False),
        report=decision is not None
        and _report(services.settings.data_dir, decision.run_id).is_file(),
    )


@router.get("/runs/{run_id}/report")
async def read_report(
    run_id: UUID,
    session: DbSession,
    services: ServicesDep,
    _caller: Annotated[Caller, Depends(require(Scope.ADMIN))],
) -> Response:
    """A run's own report. It shows values and pages of all tenants, so it needs the scope admin."""
    await get_run(session, run_id)
    path = _report(services.settings.data_dir, run_id)
    if not path.is_file():
        raise NotFound("report on this machine of run", str(run_id))
    return HTMLResponse(path.read_text(encoding="utf-8"), headers=_REPORT_HEADERS)


def _report(data_dir: Path, run_id: UUID) -> Path:
    return data_dir / "training" / str(run_id) / "report.html"


def _run(data_dir: Path, run: TrainingRun) -> dict[str, Any]:
    ended = run.finished_at
    return {
        "run": run,
        "seconds": None if ended is None else (ended - run.started_at).total_seconds(),
        "running": run.state is RunState.RUNNING,
        "report": _report(data_dir, run.id).is_file(),
    }


def _changes(given: Any) -> list[dict[str, Any]]:
    """Types or fields of a decision, those that changed most first."""
    rows = [
        {"name": name, "before": part["champion"], "after": part["candidate"]}
        for name, part in (given or {}).items()
        if isinstance(part, dict) and {"champion", "candidate"} <= part.keys()
    ]
    return sorted(rows, key=lambda row: -abs(row["after"] - row["before"]))


def _rows(
    left: VersionAnswer, right: VersionAnswer | None, truth: dict[str, Any] | None
) -> list[dict[str, Any]]:
    """Every leaf that one of them has: those that differ first, each group in the first's order."""
    sides = [
        dict(human_leaves(dict(record))) if record else {}
        for record in (left.record, right.record if right else None, truth)
    ]
    paths = dict.fromkeys(path for side in sides for path in side)
    rows = []
    for path in paths:
        one, other, right_one = (text_of(side.get(path)) for side in sides)
        if not (one or other or right_one):
            continue
        rows.append(
            {
                "label": " · ".join(
                    str(int(part) + 1) if part.isdigit() else label(part)
                    for part in path.split(".")
                ),
                "left": one,
                "right": other,
                "truth": right_one,
                "differs": right is not None and one != other,
            }
        )
    return sorted(rows, key=lambda row: not row["differs"])
