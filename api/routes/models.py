"""The model versions, and which one is served."""

from datetime import datetime

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field

from api.auth import require
from api.dependencies import DbSession, ServicesDep
from db.queries.models import get_champion, list_models

router = APIRouter(tags=["models"])


class ModelAnswer(BaseModel):
    """One model version."""

    model_config = ConfigDict(protected_namespaces=())

    id: str = Field(description="Immutable, content-addressed; stands in every prediction.")
    base: str = Field(description="The model that it was made from.")
    state: str = Field(description="candidate, accepted, rejected or retired")
    champion: bool = Field(description="Whether it is the version to serve.")
    served: bool = Field(description="Whether the engine serves it now.")
    parent_id: str | None = Field(description="The version that it was trained from.")
    created_at: datetime


class ModelList(BaseModel):
    """Model versions, newest first."""

    champion: str | None
    generation: int = Field(description="Grows with each promotion and rollback.")
    models: list[ModelAnswer]


@router.get("/models", summary="List model versions", dependencies=[Depends(require())])
async def read_models(session: DbSession, services: ServicesDep) -> ModelList:
    """Every registered version, newest first, with the champion. Any valid key may ask."""
    champion = await get_champion(session)
    served = services.engine.state().model
    found = await list_models(session)
    return ModelList(
        champion=champion.model_version_id,
        generation=champion.generation,
        models=[
            ModelAnswer(
                id=model.id,
                base=model.base,
                state=model.state,
                champion=model.id == champion.model_version_id,
                served=model.id == served,
                parent_id=model.parent_id,
                created_at=model.created_at,
            )
            for model in found
        ],
    )
