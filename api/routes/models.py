"""The model versions, which one is served, and who may change that."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

from api.auth import Caller, require
from api.dependencies import DbSession, Services, ServicesDep
from api.json_body import JSON, parse_model, read_json
from api.presentation import show_champion, show_decision, show_model, show_promotion
from api.promotion import Promoter
from api.schemas import LONGEST_NAME
from api.schemas_models import (
    AncestorAnswer,
    CanaryBody,
    ChampionAnswer,
    ModelDetail,
    ModelList,
    PromoteBody,
    PromotionList,
    ShadowBody,
)
from db.queries.models import get_champion, get_model, list_models, list_promotions
from db.queries.runs import latest_decision
from db.tables import ModelVersion, Scope

router = APIRouter(tags=["models"])

_VERSION = r"^[A-Za-z0-9._:+-]+$"
VersionPath = Annotated[
    str,
    Path(min_length=1, max_length=LONGEST_NAME, pattern=_VERSION, examples=["docloop-1f0c"]),
]
AdminDep = Annotated[Caller, Depends(require(Scope.ADMIN))]

_MOST_PROMOTIONS = 1000
_MOST_ANCESTORS = 1000


def _takes(model: type[BaseModel], *, required: bool) -> dict[str, Any]:
    """OpenAPI's word on a body that the route reads by itself."""
    content = {JSON: {"schema": model.model_json_schema()}}
    return {"requestBody": {"required": required, "content": content}}


@router.get("/models", summary="List model versions", dependencies=[Depends(require())])
async def read_models(session: DbSession, services: ServicesDep) -> ModelList:
    """Every registered version, newest first, with the champion. Any valid key may ask."""
    champion = await get_champion(session)
    served = services.engine.state().model
    return ModelList(
        **show_champion(champion).model_dump(),
        problem=services.routing.problem or None,
        models=[show_model(model, champion, served) for model in await list_models(session)],
    )


@router.get(
    "/models/promotions",
    summary="List changes of the champion",
    dependencies=[Depends(require())],
)
async def read_promotions(
    session: DbSession, limit: Annotated[int, Query(ge=1, le=_MOST_PROMOTIONS)] = 100
) -> PromotionList:
    """Promotions and rollbacks, newest first. Any valid key may ask."""
    found = await list_promotions(session, limit)
    return PromotionList(promotions=[show_promotion(promotion) for promotion in found])


@router.get("/models/{version}", summary="Read a model version", dependencies=[Depends(require())])
async def read_model(
    version: VersionPath, session: DbSession, services: ServicesDep
) -> ModelDetail:
    """Its manifest, what it descends from, what the gate said of it. Any valid key may ask."""
    model, champion = await get_model(session, version), await get_champion(session)
    decision = await latest_decision(session, version)
    promotions = await list_promotions(session, _MOST_PROMOTIONS)
    return ModelDetail(
        model=show_model(model, champion, services.engine.state().model),
        manifest=dict(model.manifest),
        lineage=[
            AncestorAnswer(model_version=step.id, run_id=step.training_run_id)
            for step in await _ancestors(session, model)
        ],
        decision=None if decision is None else show_decision(decision),
        promotions=[
            show_promotion(promotion)
            for promotion in promotions
            if promotion.model_version_id == version
        ],
    )


@router.post(
    "/models/{version}/promote",
    summary="Make a version the champion",
    openapi_extra=_takes(PromoteBody, required=False),
)
async def promote_version(
    version: VersionPath, request: Request, services: ServicesDep, caller: AdminDep
) -> ChampionAnswer:
    """Every process changes over without losing a request; a prediction names who made it.

    A folder that is missing, damaged or foreign is refused before anything changes. Needs the scope
    `admin`.
    """
    body = parse_model(PromoteBody, await _read_optional(request))
    moved = await _promoter(services, caller).promote(version, body.expected_generation)
    return show_champion(moved)


@router.post(
    "/models/rollback",
    summary="Go back to the champion before this one",
    openapi_extra=_takes(PromoteBody, required=False),
)
async def roll_back(request: Request, services: ServicesDep, caller: AdminDep) -> ChampionAnswer:
    """The version that leaves is rejected and is never gone back to. Needs the scope `admin`."""
    body = parse_model(PromoteBody, await _read_optional(request))
    return show_champion(await _promoter(services, caller).roll_back(body.expected_generation))


@router.put(
    "/models/canary",
    summary="Let a version answer a share",
    openapi_extra=_takes(CanaryBody, required=True),
)
async def put_canary(request: Request, services: ServicesDep, caller: AdminDep) -> ChampionAnswer:
    """A share of new predictions is answered by another version, loaded beside the champion.

    Where it cannot answer, the champion does. Needs the scope `admin`.
    """
    body = parse_model(CanaryBody, await read_json(request))
    return show_champion(await _promoter(services, caller).set_canary(body.version, body.ratio))


@router.put(
    "/models/shadow",
    summary="Let a version answer for the record",
    openapi_extra=_takes(ShadowBody, required=True),
)
async def put_shadow(request: Request, services: ServicesDep, caller: AdminDep) -> ChampionAnswer:
    """What was answered is asked of another version too, later; its answers are stored only.

    Needs the scope `admin`.
    """
    body = parse_model(ShadowBody, await read_json(request))
    return show_champion(await _promoter(services, caller).set_shadow(body.version))


def _promoter(services: Services, caller: Caller) -> Promoter:
    return Promoter(services.sessions, services.settings, caller.actor)


async def _read_optional(request: Request) -> Any:
    """The body; an absent one says nothing."""
    return await read_json(request) if await request.body() else {}


async def _ancestors(session: AsyncSession, model: ModelVersion) -> list[ModelVersion]:
    """The version, its parent, and so on to the first."""
    found = [model]
    while found[-1].parent_id is not None and len(found) < _MOST_ANCESTORS:
        found.append(await get_model(session, found[-1].parent_id))
    return found
