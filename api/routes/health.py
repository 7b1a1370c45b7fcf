"""Whether the service lives, whether it can answer, its numbers, and what its problems mean."""

import asyncio
import html
from typing import Annotated

import structlog
from fastapi import APIRouter, Path, Response
from fastapi.responses import HTMLResponse, PlainTextResponse
from pydantic import BaseModel, Field
from sqlalchemy import text
from starlette.requests import Request

from api.dependencies import Services, ServicesDep
from api.problems import explanations
from api.readiness import Part, PartState, Progress
from db.errors import NotFound
from db.queries.predictions import count_unfinished
from db.queries.watching import read_standing

_DATABASE_TIMEOUT_SECONDS = 2.0

router = APIRouter(tags=["service"])
logger = structlog.get_logger(__name__)


class Health(BaseModel):
    """The process lives."""

    status: str = "ok"


class WaitingFor(BaseModel):
    """A part that is not ready."""

    part: str = Field(description="database, migrations, api key, model version, line reader, ...")
    progress: str = Field(description="waiting, starting or failed")
    reason: str = Field(description="How far it is, or why it failed.")


class ReadinessAnswer(BaseModel):
    """Whether a document would be answered now."""

    ready: bool
    waiting_for: list[WaitingFor] = Field(description="Empty when ready.")
    model_version: str | None = Field(description="The version that the engine serves.")
    problem: str | None = Field(
        description="What is not as the database wants it, although documents are answered."
    )


class ProblemExplanation(BaseModel):
    """What a problem type means."""

    type: str
    title: str
    status: int
    advice: str


@router.get("/healthz", summary="The process is alive")
async def healthz() -> Health:
    """200 as long as the process answers, whatever it waits for. For liveness probes."""
    return Health()


@router.get(
    "/readyz",
    summary="A document would be answered now",
    responses={503: {"model": ReadinessAnswer, "description": "Not yet, or not now."}},
)
async def readyz(services: ServicesDep, response: Response) -> ReadinessAnswer:
    """200 when everything is up; else 503 with each part that is waited for, and why."""
    waiting = [state for state in services.readiness.waiting_for() if state.part is not Part.ENGINE]
    if services.readiness.state(Part.MIGRATIONS).ready:
        waiting = [state for state in waiting if state.part is not Part.DATABASE]
        lost = await _database_fault(services)
        waiting = [lost, *waiting] if lost is not None else waiting
    engine = services.engine.state()
    if not await services.engine.ready():
        progress = Progress.FAILED if engine.status == "failed" else Progress.STARTING
        waiting.append(PartState(Part.ENGINE, progress, engine.reason or str(engine.status)))
    response.status_code = 503 if waiting else 200
    if waiting:
        response.headers["retry-after"] = "1"
    return ReadinessAnswer(
        ready=not waiting,
        waiting_for=[
            WaitingFor(part=state.part, progress=state.progress, reason=state.reason)
            for state in waiting
        ],
        model_version=engine.model,
        problem=services.routing.problem or None,
    )


@router.get("/metrics", summary="Prometheus metrics", response_class=PlainTextResponse)
async def metrics(services: ServicesDep) -> Response:
    """Docloop's own metrics, followed by those of the engine (`vllm:*`) where it answers."""
    try:
        async with asyncio.timeout(_DATABASE_TIMEOUT_SECONDS):
            async with services.sessions() as session:
                services.metrics.set_unfinished(await count_unfinished(session))
                services.metrics.watching.set_standing(await read_standing(session))
    except Exception as error:
        logger.debug("unfinished predictions not counted", exc_info=error)
    content = await services.metrics.render(services.engine)
    return Response(content, media_type="text/plain; version=0.0.4; charset=utf-8")


@router.get(
    "/problems/{slug}",
    summary="What a problem type means",
    responses={200: {"content": {"text/html": {}}}},
)
async def explain_problem(
    request: Request,
    slug: Annotated[str, Path(max_length=64, description="The end of a problem's `type`.")],
) -> Response:
    """The page that a problem's `type` leads to; JSON unless the client prefers HTML."""
    kind = explanations().get(slug)
    if kind is None:
        raise NotFound("problem type", slug)
    found = ProblemExplanation(
        type=f"/problems/{slug}", title=kind.title, status=kind.status, advice=kind.advice
    )
    if "text/html" in request.headers.get("accept", ""):
        return HTMLResponse(
            f"<!doctype html><meta charset=utf-8><title>{html.escape(found.title)}</title>"
            f"<h1>{html.escape(found.title)}</h1><p>Status {found.status}</p>"
            f"<p>{html.escape(found.advice)}</p>"
        )
    return Response(found.model_dump_json(), media_type="application/json")


async def _database_fault(services: Services) -> PartState | None:
    """Whether the database answers now."""
    try:
        async with asyncio.timeout(_DATABASE_TIMEOUT_SECONDS):
            async with services.sessions() as session:
                await session.execute(text("SELECT version_num FROM alembic_version"))
    except Exception:  # noqa: BLE001 - whatever it is, the answer is no
        return PartState(Part.DATABASE, Progress.FAILED, "it does not answer; it is tried again")
    return None
