"""One run on generated documents, from rows to a version with its report.

    rows -> SFT -> GRPO with several seeds -> soups -> answers -> the best -> version, report

Every stage is a process with a folder of its own and is not run twice, so that a run that was
stopped goes on where it was.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from rich.console import Console

from extraction.errors import DocloopError
from trainer.generated_run.material import CLAIM, Part, Wanted, gather
from trainer.generated_run.report import Answered, write
from trainer.material import read_traits
from trainer.profile import Profile
from trainer.progress import StageProgress
from trainer.soup_choice import better_soup
from trainer.stage import read_json, write_json
from trainer.stages import Stages

SFT, HEADLINE = "sft", "reward"


class OtherRun(DocloopError):
    """The folder holds a run that was told something else.

    Args:
        folder: it.
    """

    slug = "other-generated-run"

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)
        super().__init__(f"{folder} holds a run of other settings: name another folder.")


@dataclass(frozen=True, slots=True)
class GeneratedRun:
    """What a run is told.

    Attributes:
        source: folder of generated pages or texts.
        kind: the document type that is learned.
        model: folder of the model that it starts from.
        wanted: how many documents go where.
        profile: of training; `data`, `gate` and what follows are for cycles, and not looked at.
        out: the run's folder.
    """

    source: Path
    kind: Literal["document", "graph"]
    model: Path
    wanted: Wanted
    profile: Profile
    out: Path


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a run.

    Attributes:
        chosen: the contender with the highest reward on the selection part.
        version: folder of the version that was made from it; None where that is the model that the
            run started from.
        report: the page that tells it.
        rewards: contender -> mean reward on the holdout, 0 to 1.
    """

    chosen: str
    version: Path | None
    report: Path
    rewards: dict[str, float]


async def train_generated(run: GeneratedRun, console: Console | None = None) -> Outcome:
    """Runs it, or goes on with it.

    Raises:
        OtherRun: the folder holds another one.
        TooFewRows, NoShards: of the generated documents.
        StageFailed: a stage ended without its result.
    """
    _claim(run)
    traits = read_traits(run.model)
    rows = gather(
        run.source, run.kind, traits, run.wanted, seed=run.profile.seed, out=run.out / "rows"
    )
    with StageProgress(console) as progress:
        stages = Stages(
            folder=run.out,
            profile=run.profile,
            champion_folder=run.model.resolve(),
            progress=progress,
        )
        sft = await stages.stage(SFT, "sft", {"examples": str(rows["sft"])})
        adapters = {SFT: sft["adapter"]}
        parts: dict[str, tuple[str, ...]] = {}
        for index in range(len(run.profile.grpo.levels)):
            task = {"examples": str(rows["grpo"]), "sft_adapter": sft["adapter"], "index": index}
            trained = await stages.stage(f"grpo-{index}", "grpo", task)
            adapters[f"grpo-{index}"] = trained["adapter"]
        judge = _Judge(run, stages, rows, adapters, parts)
        await judge.choose_soup()
        selection = await judge.answers("selection")
        chosen = max(selection, key=lambda name: (selection[name].mean(HEADLINE), name == SFT))
        holdout = await judge.answers("holdout")
        version = await _version(run, stages, chosen, adapters, traits.types)
        report = write(run.out, stages, run.kind, selection, holdout, chosen, version, parts)
    rewards = {name: found.mean(HEADLINE) for name, found in holdout.items()}
    return Outcome(chosen, version, report, rewards)


@dataclass
class _Judge:
    """The contenders of a run and what they answered."""

    run: GeneratedRun
    stages: Stages
    rows: dict[Part, Path]
    adapters: dict[str, str]
    parts: dict[str, tuple[str, ...]]

    async def answers(self, part: Part) -> dict[str, Answered]:
        """Every contender's rewards on a part; who has answered before is not asked again."""
        name = f"answers-{part}-{len(self.adapters)}"
        task = {
            "examples": str(self.rows[part]),
            "adapters": dict(self.adapters),
            "answers": str(self.run.out / f"answers-{part}"),
        }
        found = await self.stages.stage(name, "answers", task)
        return {name: Answered(tuple(scored)) for name, scored in found["scored"].items()}

    async def choose_soup(self) -> None:
        """Adds the better soup of the ingredients; nothing where there are fewer than two."""
        ingredients = [name for name in self.adapters if name != SFT]
        if len(ingredients) < 2:  # noqa: PLR2004 - a soup is of two or more
            return
        scored = await self.answers("selection")
        own = {name: scored[name].mean(HEADLINE) for name in ingredients}
        await better_soup(own, self._soup_score)

    async def _soup_score(self, names: tuple[str, ...]) -> float:
        name = "soup-" + "+".join(sorted(part.rsplit("-", 1)[-1] for part in names))
        task = {"adapters": [self.adapters[part] for part in sorted(names)]}
        self.adapters[name] = (await self.stages.stage(name, "soup", task))["adapter"]
        self.parts[name] = tuple(sorted(names))
        return (await self.answers("selection"))[name].mean(HEADLINE)


async def _version(
    run: GeneratedRun,
    stages: Stages,
    chosen: str,
    adapters: dict[str, str],
    types: frozenset[str],
) -> Path | None:
    if chosen not in adapters:
        return None
    task = {
        "adapter": adapters[chosen],
        "versions": str(run.out / "versions"),
        "run": run.out.name,
        "types": sorted({*types, run.kind}),
    }
    return Path((await stages.stage("version", "version", task))["folder"])


def _claim(run: GeneratedRun) -> None:
    """The folder is this run's from now on."""
    told: dict[str, Any] = {
        "source": str(run.source.resolve()),
        "kind": run.kind,
        "model": str(run.model.resolve()),
        "wanted": asdict(run.wanted),
        "profile": run.profile.model_dump(mode="json"),
    }
    file = run.out / CLAIM
    found = read_json(file)
    if found is not None and found != told:
        raise OtherRun(run.out)
    if found is None:
        run.out.mkdir(parents=True, exist_ok=True)
        write_json(file, told)
