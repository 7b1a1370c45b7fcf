"""Which of a run's adapters goes to the gate: each becomes a version and answers the selection set.

SFT, ingredients -> versions -> selection scores -> uniform and greedy soup -> the best
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from db.queries.models import NewModel, register_model
from trainer.evaluate import EvaluationItem, evaluate
from trainer.run import Run
from trainer.scores import Scores
from trainer.soup_choice import SoupChoice, better_soup

SFT = "sft"


@dataclass(frozen=True, slots=True)
class Contestant:
    """An adapter that became a version.

    Attributes:
        name: within the run, as "grpo-0".
        kind: "sft", "ingredient" or "soup".
        version: its name as a model.
        folder: where that is.
        selection: its scores on the selection set; None where the run has no such documents.
        parts: ingredients of a soup.
        rank_error: relative error where its rank had to be reduced.
    """

    name: str
    kind: str
    version: str
    folder: Path
    selection: Scores | None
    parts: tuple[str, ...] = ()
    rank_error: float = 0.0

    @property
    def score(self) -> float:
        """Mean on the selection set; 0 where there is none."""
        return 0.0 if self.selection is None else self.selection.mean or 0.0


@dataclass
class Contest:
    """The adapters of a run and what became of them.

    Attributes:
        run: the run.
        items: the selection set.
        capitals: whether the versions answer in capitals; None leaves that as it was.
        types: what the versions' cards say of types that they write; None leaves it as it was.
        contestants: by name, in the order in which they came.
        soup: which soup was better; None without GRPO.
    """

    run: Run
    items: Sequence[EvaluationItem]
    capitals: bool | None
    types: Sequence[str] | None = None
    contestants: dict[str, Contestant] = field(default_factory=dict)
    soup: SoupChoice | None = None

    async def enter(
        self, name: str, kind: str, adapter: Path, parts: tuple[str, ...] = ()
    ) -> Contestant:
        """The adapter as a version with its score; asked again it is not asked."""
        if name not in self.contestants:
            await self.enter_all([(name, kind, adapter, parts)])
        return self.contestants[name]

    async def enter_all(self, entries: Sequence[tuple[str, str, Path, tuple[str, ...]]]) -> None:
        """Several at once, so that one engine answers for all of them."""
        made = [
            (name, kind, parts, *await self._write(name, adapter))
            for name, kind, adapter, parts in entries
        ]
        scores = await self._ask([version for _, _, _, version, _, _ in made])
        for name, kind, parts, version, folder, error in made:
            self.contestants[name] = Contestant(
                name, kind, version, folder, scores.get(version), parts, error
            )

    async def best(self, sft: Path, ingredients: Mapping[str, Path]) -> Contestant:
        """The contestant that goes to the gate.

        Without GRPO it is the SFT adapter. Else it is the better soup, unless SFT alone scores
        higher on the selection set: then reinforcement has not helped, and is not shipped.

        Args:
            sft: the SFT adapter.
            ingredients: name -> adapter of each GRPO run.
        """
        first = (SFT, "sft", sft, ())
        await self.enter_all(
            [first, *((name, "ingredient", path, ()) for name, path in ingredients.items())]
        )
        if not ingredients:
            return self.contestants[SFT]

        async def soup_score(parts: tuple[str, ...]) -> float:
            return (await self._cook(parts, ingredients)).score

        own = {name: self.contestants[name].score for name in ingredients}
        self.soup = await better_soup(own, soup_score)
        chosen = await self._cook(self.soup.ingredients, ingredients)
        plain = self.contestants[SFT]
        return plain if plain.score > chosen.score else chosen

    async def _cook(self, parts: tuple[str, ...], ingredients: Mapping[str, Path]) -> Contestant:
        """The soup of some ingredients; of one it is that one."""
        if len(parts) == 1:
            return self.contestants[parts[0]]
        ordered = tuple(sorted(parts))
        name = "soup-" + "+".join(part.rsplit("-", 1)[-1] for part in ordered)
        made = await self.run.stage(
            name, "soup", {"adapters": [str(ingredients[part]) for part in ordered]}
        )
        return await self.enter(name, "soup", Path(made["adapter"]), ordered)

    async def _write(self, name: str, adapter: Path) -> tuple[str, Path, float]:
        """The adapter as a registered version: its name, folder, and rank error."""
        task = {
            "adapter": str(adapter),
            "versions": str(self.run.folders.versions),
            "run": str(self.run.id),
            "capitals": self.capitals,
            "types": self.types,
        }
        made = await self.run.stage(f"version-{name}", "version", task)
        new = NewModel(
            id=made["version"],
            name=f"{name} of run {self.run.id}",
            base=made["base"],
            path=made["folder"],
            manifest={"contestant": name, "rank_error": made["rank_error"]},
            parent_id=self.run.champion,
            training_run_id=self.run.id,
        )
        async with self.run.sessions.begin() as session:
            await register_model(session, new)
        return made["version"], Path(made["folder"]), float(made["rank_error"])

    async def _ask(self, versions: Sequence[str]) -> dict[str, Scores]:
        if not self.items:
            return {}
        async with self.run.shown("selection") as stage:
            scores = await evaluate(
                self.run.sessions,
                self.run.id,
                list(dict.fromkeys([*versions])),
                self.items,
                log_file=self.run.folder / "evaluate.log",
                report=stage.update,
                niceness=self.run.profile.niceness,
            )
        return {version: found for (version, _), found in scores.items()}
