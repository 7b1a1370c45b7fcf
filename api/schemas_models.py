"""What goes over the wire about model versions: the second half of `api.schemas`."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from api.schemas import Answer, Name

_GREATEST_GENERATION = 2**63 - 1


class ModelAnswer(Answer):
    """One model version."""

    id: str = Field(description="Immutable, content-addressed; stands in every prediction.")
    base: str = Field(description="The model that it was made from.")
    state: str = Field(description="candidate, accepted, rejected or retired")
    champion: bool = Field(description="Whether it is the version to serve.")
    served: bool = Field(description="Whether the engine serves it now.")
    parent_id: str | None = Field(description="The version that it was trained from.")
    created_at: datetime


class ModelList(Answer):
    """Model versions, newest first."""

    champion: str | None
    generation: int = Field(description="Grows with each promotion and rollback.")
    canary: str | None = Field(description="Answers a share of the predictions.")
    canary_ratio: float = Field(description="That share, 0 to 1.")
    shadow: str | None = Field(description="Answers for the record only.")
    problem: str | None = Field(
        description="Why this process does not serve what is asked of it; null where it does."
    )
    models: list[ModelAnswer]


class ChampionAnswer(Answer):
    """The champion pointer after a change. Each process follows within moments."""

    champion: str | None
    generation: int = Field(description="Send it as `expected_generation` with the next change.")
    canary: str | None
    canary_ratio: float
    shadow: str | None


class PromotionAnswer(Answer):
    """One change of the champion."""

    generation: int
    model_version: str
    previous: str | None
    reason: str = Field(description="first, gate, manual, rollback or automatic-rollback")
    actor: str
    run_id: UUID | None = Field(description="The training run that made the version.")
    created_at: datetime


class PromotionList(Answer):
    """Changes of the champion, newest first."""

    promotions: list[PromotionAnswer]


class DecisionAnswer(Answer):
    """What the gate said of a candidate."""

    run_id: UUID
    compared_with: str = Field(description="The champion at that time.")
    passed: bool
    reasons: list[str]
    inputs: dict[str, Any] = Field(description="What it was decided on.")
    created_at: datetime


class AncestorAnswer(Answer):
    """One step back from a version."""

    model_version: str
    run_id: UUID | None = Field(description="The run that made it; null where none did.")


class ModelDetail(Answer):
    """A model version in full."""

    model: ModelAnswer
    manifest: dict[str, Any]
    lineage: list[AncestorAnswer] = Field(description="The version, its parent, and so on.")
    decision: DecisionAnswer | None = Field(description="The gate's last word on it.")
    promotions: list[PromotionAnswer] = Field(description="When it became the champion.")


class LineageStepAnswer(AncestorAnswer):
    """A version behind a prediction, and what its run was trained on."""

    correction_ids: list[UUID] = Field(description="Your own corrections among them.")
    correction_count: int = Field(description="All of them, erased ones included.")


class LineageAnswer(Answer):
    """What is behind a prediction: version, run, corrections, back to the first version."""

    prediction_id: UUID
    model_version: str | None = Field(description="Null until the prediction is done.")
    run_id: UUID | None = Field(description="Null for a version that was not trained here.")
    steps: list[LineageStepAnswer]


class _Body(BaseModel):
    """Base of what is sent to us; nothing unknown is taken."""

    model_config = ConfigDict(extra="forbid")


class PromoteBody(_Body):
    """A promotion, or a rollback."""

    expected_generation: (
        Annotated[int, Field(ge=0, le=_GREATEST_GENERATION, strict=True)] | None
    ) = Field(
        default=None,
        description="Of the champion that you decided on; null: whichever is found. "
        "409 where the champion has changed since.",
    )


class CanaryBody(_Body):
    """The canary and its share."""

    version: Name | None = Field(description="null: no canary.")
    ratio: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.1, description="Of the new predictions; 0: no canary."
    )


class ShadowBody(_Body):
    """The shadow."""

    version: Name | None = Field(description="null: no shadow.")
