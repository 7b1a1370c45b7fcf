"""One training cycle; `run_cycle` reads as the sentence.

    corrections -> examples -> SFT -> GRPO x seeds -> soup -> evaluation -> gate -> promotion

The swap is the service's: it hears of the promotion through Postgres (`api/champion_watch.py`). A
cycle that was killed goes on with `resume`: what a stage has finished is not done again, what it
has half done goes on at its checkpoint.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from db.blobs import BlobStore
from db.errors import PromotionConflict
from db.queries.golden import list_golden
from db.queries.models import get_champion, get_model, promote, set_model_state
from db.queries.runs import (
    finish_run,
    get_run,
    start_run,
    store_decision,
)
from db.tables import ModelState, PromotionReason, RunState
from extraction.errors import DocloopError
from trainer.contest import Contest, Contestant
from trainer.dataset import RunDataset, read_dataset
from trainer.evaluate import EvaluationItem, evaluate
from trainer.gate import GateDecision, decide
from trainer.material import Material, gather, read_traits
from trainer.profile import Profile
from trainer.progress import StageProgress
from trainer.run import CycleFolders, Run
from trainer.scores import Scores
from trainer.story import tell

HOLDOUT = "holdout"


class NoChampion(DocloopError):
    """There is nothing to begin from."""

    slug = "no-champion"

    def __init__(self) -> None:
        super().__init__("No model is served yet; start the service once, then train.")


@dataclass(frozen=True, slots=True)
class CycleOutcome:
    """How a cycle ended.

    Attributes:
        run_id: of its row.
        promoted: whether the candidate is the champion now.
        candidate: the version that went to the gate.
        reasons: the gate's.
        report: the page that tells all of it.
    """

    run_id: UUID
    promoted: bool
    candidate: str | None
    reasons: tuple[str, ...]
    report: Path | None


@dataclass(frozen=True, slots=True)
class CyclePlan:
    """What a cycle that began now would use.

    Attributes:
        champion: the version that it would begin from.
        dataset: examples, replay and holdout.
        golden_count: golden examples, by set.
        sft_steps: optimiser steps.
        grpo_runs: the importance sampling level of each run.
        grpo_steps: optimiser steps of each.
    """

    champion: str
    dataset: RunDataset
    golden_count: Mapping[str, int]
    sft_steps: int
    grpo_runs: tuple[str, ...]
    grpo_steps: int


@dataclass(frozen=True, slots=True)
class Judgement:
    """Champion and candidate side by side.

    Attributes:
        champion: its scores on the gate's part of the holdout.
        candidate: the candidate's.
        golden: set -> both.
        decision: the gate's.
    """

    champion: Scores
    candidate: Scores
    golden: Mapping[str, tuple[Scores, Scores]]
    decision: GateDecision


async def run_cycle(
    sessions: async_sessionmaker[AsyncSession],
    profile: Profile,
    folders: CycleFolders,
    *,
    progress: StageProgress | None = None,
    resume: UUID | None = None,
    blobs: BlobStore | None = None,
    launcher: Sequence[str] = (),
) -> CycleOutcome:
    """Runs a cycle, or the rest of one.

    Args:
        sessions: on the service's database.
        profile: how to train.
        folders: where to work.
        progress: shows people how far it is.
        resume: the unfinished run to go on with; its folder is here.
        blobs: the documents' pages, for models that see and for the report's pictures.
        launcher: put before the stages that train, as ("accelerate", "launch").

    Raises:
        NoChampion: nothing is served yet.
        StageFailed, EvaluationFailed: the run stays unfinished.
    """
    shown = progress or StageProgress()
    run = await _open(sessions, profile, folders, shown, resume, tuple(launcher))
    material = await gather(run, blobs)
    sft = await run.stage("sft", "sft", material.task())
    ingredients: dict[str, Path] = {}
    for index, _ in enumerate(run.profile.grpo.levels):
        task = {**material.task(), "index": index, "sft_adapter": sft["adapter"]}
        trained = await run.stage(f"grpo-{index}", "grpo", task)
        ingredients[f"grpo-{index}"] = Path(trained["adapter"])
    contest = Contest(run, material.selection, material.capitals, material.types)
    chosen = await contest.best(Path(sft["adapter"]), ingredients)
    judgement = await _judge(run, material, chosen)
    promoted = judgement.decision.passed and await _promote(run, chosen)
    report = await tell(run, material, contest, chosen, judgement, promoted=promoted, blobs=blobs)
    await _close(run, contest, chosen, judgement, promoted=promoted)
    material.forget()
    return CycleOutcome(run.id, promoted, chosen.version, judgement.decision.reasons, report)


async def plan_cycle(
    sessions: async_sessionmaker[AsyncSession], profile: Profile, folders: CycleFolders
) -> CyclePlan:
    """What a cycle would use now; trains nothing and writes nothing.

    Raises:
        NoChampion: nothing is served yet.
    """
    async with sessions() as session:
        champion = (await get_champion(session)).model_version_id
        if champion is None:
            raise NoChampion
        folder = Path((await get_model(session, champion)).path or folders.model_dir)
        dataset = await read_dataset(
            session, profile, traits=read_traits(folder), champion_id=champion
        )
        golden: dict[str, int] = {}
        for example in await list_golden(session):
            golden[example.set_name] = golden.get(example.set_name, 0) + 1
    examples = len(dataset.train) + len(dataset.replay)
    return CyclePlan(
        champion=champion,
        dataset=dataset,
        golden_count=golden,
        sft_steps=-(-int(examples * profile.sft.epochs) // profile.sft.batch),
        grpo_runs=profile.grpo.levels,
        grpo_steps=profile.grpo.steps,
    )


async def _open(
    sessions: async_sessionmaker[AsyncSession],
    profile: Profile,
    folders: CycleFolders,
    progress: StageProgress,
    resume: UUID | None,
    launcher: tuple[str, ...],
) -> Run:
    """The run: its row and its folder, made anew or as they are."""
    async with sessions.begin() as session:
        if resume is None:
            champion = (await get_champion(session)).model_version_id
            if champion is None:
                raise NoChampion
            row = await start_run(session, profile.model_dump(mode="json"), champion_id=champion)
        else:
            row = await get_run(session, resume)
            champion = row.champion_id
            if champion is None:
                raise NoChampion
        path = (await get_model(session, champion)).path
    folder = folders.training / str(row.id)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "profile.json").write_text(profile.model_dump_json(indent=1) + "\n")
    return Run(
        id=row.id,
        folder=folder,
        folders=folders,
        profile=profile,
        champion=champion,
        champion_folder=Path(path) if path else folders.model_dir,
        sessions=sessions,
        progress=progress,
        launcher=launcher,
    )


async def _judge(run: Run, material: Material, chosen: Contestant) -> Judgement:
    """Both answer what nothing was chosen by, and the golden sets; the gate decides."""
    async with run.sessions() as session:
        golden = [EvaluationItem.of_golden(example) for example in await list_golden(session)]
    async with run.shown("gate") as stage:
        scores = await evaluate(
            run.sessions,
            run.id,
            [run.champion, chosen.version],
            [*material.gate, *golden],
            log_file=run.folder / "evaluate.log",
            report=stage.update,
            niceness=run.profile.niceness,
        )

    def of(version: str, set_name: str) -> Scores:
        return scores.get((version, set_name)) or Scores(version, set_name, ())

    sets = sorted({item.set_name for item in golden})
    pairs = {name: (of(run.champion, name), of(chosen.version, name)) for name in sets}
    before, after = of(run.champion, HOLDOUT), of(chosen.version, HOLDOUT)
    decision = decide(before, after, pairs, run.profile.gate, seed=run.profile.seed)
    async with run.sessions.begin() as session:
        await store_decision(
            session,
            run_id=run.id,
            champion_id=run.champion,
            candidate_id=chosen.version,
            passed=decision.passed,
            reasons=decision.reasons,
            inputs=decision.inputs,
        )
    return Judgement(before, after, pairs, decision)


async def _promote(run: Run, chosen: Contestant) -> bool:
    """The candidate becomes the champion; False where the champion changed under the run.

    What was compared with is then not what is served, so the decision holds no longer.
    """
    async with run.sessions.begin() as session:
        champion = await get_champion(session)
        if champion.model_version_id == chosen.version:
            return True  # promoted by an earlier attempt of this run
        if champion.model_version_id != run.champion:
            return False
        try:
            await promote(
                session,
                chosen.version,
                champion.generation,
                reason=PromotionReason.GATE,
                actor="trainer",
                run_id=run.id,
            )
        except PromotionConflict:
            return False
        await set_model_state(session, chosen.version, ModelState.ACCEPTED)
    return True


async def _close(
    run: Run, contest: Contest, chosen: Contestant, judgement: Judgement, *, promoted: bool
) -> None:
    """The run's end in the database; versions that nobody chose are given up."""
    metrics = {
        "promoted": promoted,
        "holdout_before": judgement.champion.mean,
        "holdout_after": judgement.candidate.mean,
        "seconds": run.seconds,
        "versions": {entry.name: entry.version for entry in contest.contestants.values()},
        "selection": {entry.name: entry.score for entry in contest.contestants.values()},
        "soup": None if contest.soup is None else contest.soup.as_json(),
    }
    async with run.sessions.begin() as session:
        for entry in contest.contestants.values():
            if entry.version != chosen.version:
                await set_model_state(session, entry.version, ModelState.REJECTED)
        if not promoted:
            await set_model_state(session, chosen.version, ModelState.REJECTED)
        await finish_run(
            session, run.id, RunState.DONE, metrics=metrics, candidate_id=chosen.version
        )
