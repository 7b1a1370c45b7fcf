"""What a training cycle is told: one TOML file of fixed keys, `small` or `production` or your own.

Every key has to be there and no other may be, so that a file says all that a run depends on and a
typing error is found before an hour of training. The run's row keeps the whole profile.
"""

import tomllib
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from extraction.errors import DocloopError

Ratio = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[int, Field(ge=1)]
Level = Literal["token", "sequence"]
_TOKENS_TOGETHER = 2048  # of completions that one backward pass may hold


class Section(BaseModel):
    """A table of the file: frozen, complete, nothing unknown."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class DataSection(Section):
    """Which corrections a run learns from.

    Attributes:
        least_examples: a cycle with fewer new accepted corrections does not start.
        most_examples: the newest are taken.
        replay_ratio: examples of earlier corrections and of the base set, as a share of the new
            ones, so that old skills stay.
        near_duplicate_bits: documents whose perceptual hashes differ in at most so many of 64 bits
            stay on one side of the holdout.
        selection_ratio: share of the holdout on which ingredients are chosen; the gate sees the
            others alone.
    """

    least_examples: Positive
    most_examples: Positive
    replay_ratio: Ratio
    near_duplicate_bits: Annotated[int, Field(ge=0, le=16)]
    selection_ratio: Ratio


class QuarantineSection(Section):
    """When a correction waits for a second person.

    Attributes:
        flood_count: so many corrections of one key within `flood_seconds` are a flood where they
            also change what the checks had proven or other reviewers left.
        flood_seconds: the window.
        disagreement_ratio: a reviewer whose corrections differ from other people's on the same
            documents more often than this.
        disagreement_count: from so many shared fields on.
    """

    flood_count: Positive
    flood_seconds: Annotated[float, Field(gt=0)]
    disagreement_ratio: Ratio
    disagreement_count: Positive


class AdapterSection(Section):
    """The LoRA that a run trains (Hu et al. 2021).

    Attributes:
        rank: of each ingredient.
        alpha: scale; the update is multiplied by alpha / rank.
        dropout: of the adapter's input.
        quantisation: of the frozen base weights while training: "nf4" is QLoRA (Dettmers et al.
            2023, bitsandbytes), "none" keeps them in `dtype`.
        dtype: of the frozen base weights where they are not quantised.
        most_rank: ranks add up from cycle to cycle; above this the version's adapter is reduced by
            a truncated SVD, and the error is in its manifest.
    """

    rank: Positive
    alpha: Positive
    dropout: Ratio
    quantisation: Literal["none", "nf4"]
    dtype: Literal["bfloat16", "float32"]
    most_rank: Positive


class SftSection(Section):
    """Supervised fine-tuning on the corrected answers."""

    epochs: Annotated[float, Field(gt=0)]
    learning_rate: Annotated[float, Field(gt=0)]
    warmup_steps: Annotated[float, Field(ge=0)]
    batch: Positive
    save_steps: Positive


class GrpoSection(Section):
    """Group relative policy optimisation (Shao et al. 2024) from the SFT adapter, one run a seed.

    Attributes:
        token_level_runs: runs with token-level importance sampling.
        sequence_level_runs: runs with sequence-level importance sampling (GSPO, Zheng et al. 2025).
        generation_count: completions of one prompt: the group.
        prompts_per_step: groups in one optimiser step.
        steps: optimiser steps of a run; 0 leaves GRPO out.
        learning_rate: constant.
        beta: weight of the Kullback-Leibler term against the SFT model.
        temperature: of the rollouts.
        most_completion_tokens: longer ones are cut and score as cut.
        rollout_engine: "transformers" rolls out in the trainer, "vllm" through a colocated engine
            (GPU only).
        save_steps: steps between two checkpoints.
    """

    token_level_runs: Annotated[int, Field(ge=0)]
    sequence_level_runs: Annotated[int, Field(ge=0)]
    generation_count: Annotated[int, Field(ge=2)]
    prompts_per_step: Positive
    steps: Annotated[int, Field(ge=0)]
    learning_rate: Annotated[float, Field(gt=0)]
    beta: Annotated[float, Field(ge=0)]
    temperature: Annotated[float, Field(gt=0)]
    most_completion_tokens: Positive
    rollout_engine: Literal["transformers", "vllm"]
    save_steps: Positive

    @property
    def levels(self) -> tuple[Level, ...]:
        """The importance sampling level of each run, in the order of their seeds."""
        if not self.steps:
            return ()
        token: list[Level] = ["token"] * self.token_level_runs
        sequence: list[Level] = ["sequence"] * self.sequence_level_runs
        return (*token, *sequence)

    @property
    def groups_together(self) -> int:
        """Groups that go through the model together where their prompts are shared.

        As many as memory bears: 4,500 tokens of completions of the default model held 12 GiB. At
        least one; a divisor of `prompts_per_step`, so that steps stay whole.
        """
        room = _TOKENS_TOGETHER // (self.generation_count * self.most_completion_tokens)
        fitting = range(min(room, self.prompts_per_step), 0, -1)
        return next((count for count in fitting if self.prompts_per_step % count == 0), 1)


class RewardsSection(Section):
    """Weights of the rewards (`trainer/rewards/`); 0 records a reward without learning from it."""

    valid_record: float
    fields: float
    date_format: float
    mrz: float
    receipt_arithmetic: float
    ended: float
    reasoning_format: float
    repetition: float
    page_tests: float
    front_matter: float
    layout_distance: float
    layout_count: float
    layout_order: float
    graph_valid: float
    graph_entities: float
    graph_relations: float
    graph_relation_accuracy: float


class GateSection(Section):
    """When a candidate may take the champion's place.

    Attributes:
        least_documents: with fewer holdout documents nothing is promoted.
        margin: the lower bound of the gain in mean score has to be above this.
        confidence: of the paired bootstrap's one-sided bound.
        resamples: of the bootstrap.
        type_tolerance: most that the mean score of a document type may fall.
        field_tolerance: most that the mean score of a field may fall.
        least_field_documents: a type or field seen less often is reported, not judged.
        schema_valid_tolerance: most that the share of schema-valid answers may fall.
        latency_ratio: most that the median time of an answer may grow, as a factor.
    """

    least_documents: Positive
    margin: float
    confidence: Annotated[float, Field(gt=0.5, lt=1.0)]
    resamples: Positive
    type_tolerance: Ratio
    field_tolerance: Ratio
    least_field_documents: Positive
    schema_valid_tolerance: Ratio
    latency_ratio: Annotated[float, Field(ge=1.0)]


class RollbackSection(Section):
    """When a promoted version is taken back by itself.

    Attributes:
        predictions: the first so many of the new version are watched.
        least_reviewed: judged from so many reviewed ones on.
        margin: the correction rate (or the share of invalid answers) has to be worse by more.
        confidence: of the one-sided bound of the difference of two proportions.
    """

    predictions: Positive
    least_reviewed: Positive
    margin: Ratio
    confidence: Annotated[float, Field(gt=0.5, lt=1.0)]


class ScheduleSection(Section):
    """When `docloop worker` starts a cycle.

    Attributes:
        new_corrections: as soon as so many new accepted corrections wait.
        most_hours: or so long after the last cycle, where at least `data.least_examples` wait.
        poll_seconds: between two looks.
    """

    new_corrections: Positive
    most_hours: Annotated[float, Field(gt=0)]
    poll_seconds: Annotated[float, Field(gt=0)]


class Profile(Section):
    """All settings of a cycle.

    Attributes:
        name: of the profile.
        seed: of everything drawn: data order, adapters, rollouts. Run i of GRPO takes seed + i + 1.
        form: "merged" writes whole checkpoints (swapped in place), "adapter" adapters alone.
        device: "cpu" or "gpu".
        threads: CPU threads of the trainer.
        niceness: how far the trainer steps back behind the service, 0 to 19.
    """

    name: str
    seed: int
    form: Literal["merged", "adapter"]
    device: Literal["cpu", "gpu"]
    threads: Positive
    niceness: Annotated[int, Field(ge=0, le=19)]
    data: DataSection
    quarantine: QuarantineSection
    adapter: AdapterSection
    sft: SftSection
    grpo: GrpoSection
    rewards: RewardsSection
    gate: GateSection
    rollback: RollbackSection
    schedule: ScheduleSection


class InvalidProfile(DocloopError):
    """A profile that cannot be read.

    Args:
        source: its name or file.
        faults: key -> what is wrong with it.
    """

    slug = "invalid-profile"

    def __init__(self, source: str, faults: dict[str, str]) -> None:
        self.source, self.faults = source, faults
        listed = "; ".join(f"{key}: {fault}" for key, fault in faults.items())
        super().__init__(f"The profile {source} is not valid: {listed}.")


def load_profile(source: str) -> Profile:
    """The profile of a name that ships, or of a TOML file's path.

    Raises:
        InvalidProfile: it is not there, no TOML, or has missing, unknown or impossible keys.
    """
    try:
        return Profile.model_validate(tomllib.loads(_text_of(source)))
    except tomllib.TOMLDecodeError as error:
        raise InvalidProfile(source, {"TOML": str(error)}) from None
    except ValidationError as error:
        faults = {
            ".".join(map(str, fault["loc"])): _said(fault)
            for fault in error.errors(include_url=False)
        }
        raise InvalidProfile(source, faults) from None


def _said(fault: Any) -> str:
    if fault["type"] == "extra_forbidden":
        return "is no key of a profile"
    return str(fault["msg"]).lower()


def _text_of(source: str) -> str:
    shipped = resources.files("trainer") / "profiles" / f"{source}.toml"
    path = Path(source)
    if "/" not in source and not source.endswith(".toml") and shipped.is_file():
        return shipped.read_text()
    if path.is_file():
        return path.read_text()
    raise InvalidProfile(source, {"file": "there is none; name small, production or a TOML file"})
