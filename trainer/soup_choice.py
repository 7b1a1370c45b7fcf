"""Which ingredients make the soup: all of them, or those that help (Wortsman et al. 2022).

Pure but for the scores, which are injected: a set of ingredients -> the mean score that their soup
has on the selection part of the holdout. What the gate sees is not looked at here.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

ScoreOf = Callable[[tuple[str, ...]], Awaitable[float]]


@dataclass(frozen=True, slots=True)
class SoupStep:
    """A soup that was tried.

    Attributes:
        ingredients: of it, by name.
        score: on the selection part.
        kept: whether the greedy soup went on with it.
    """

    ingredients: tuple[str, ...]
    score: float
    kept: bool


@dataclass(frozen=True, slots=True)
class GreedySoup:
    """What the greedy soup came to, and every step on the way."""

    ingredients: tuple[str, ...]
    score: float
    steps: tuple[SoupStep, ...]


@dataclass(frozen=True, slots=True)
class SoupChoice:
    """The soup that goes on to the gate.

    Attributes:
        kind: the recipe that made it.
        ingredients: of it.
        score: on the selection part.
        own_scores: of each ingredient alone.
        uniform_score: of the soup of all.
        greedy: the other recipe.
    """

    kind: Literal["uniform", "greedy"]
    ingredients: tuple[str, ...]
    score: float
    own_scores: Mapping[str, float]
    uniform_score: float
    greedy: GreedySoup

    def as_json(self) -> dict[str, Any]:
        """The same as a JSON object, for the run's manifest and report."""
        return {
            "kind": self.kind,
            "ingredients": list(self.ingredients),
            "score": self.score,
            "own_scores": dict(self.own_scores),
            "uniform_score": self.uniform_score,
            "greedy_score": self.greedy.score,
            "steps": [
                {"ingredients": list(step.ingredients), "score": step.score, "kept": step.kept}
                for step in self.greedy.steps
            ],
        }


async def greedy_soup(own_scores: Mapping[str, float], score_of: ScoreOf) -> GreedySoup:
    """Adds ingredients, best first; one stays only if the soup with it does not score worse.

    Ingredients of the same score are taken in the order of their names.

    Args:
        own_scores: each ingredient -> its score alone, on the selection part.
        score_of: ingredients -> the score of their soup there; asked for two or more.

    Raises:
        ValueError: there are no ingredients.
    """
    if not own_scores:
        raise ValueError("a soup needs an ingredient")
    first, *others = sorted(own_scores, key=lambda name: (-own_scores[name], name))
    kept: tuple[str, ...] = (first,)
    score = own_scores[first]
    steps = [SoupStep(kept, score, kept=True)]
    for name in others:
        tried = (*kept, name)
        reached = await score_of(tried)
        stays = reached >= score
        steps.append(SoupStep(tried, reached, stays))
        if stays:
            kept, score = tried, reached
    return GreedySoup(kept, score, tuple(steps))


async def better_soup(own_scores: Mapping[str, float], score_of: ScoreOf) -> SoupChoice:
    """The better of the uniform and the greedy soup on the selection part; uniform where equal.

    No set of ingredients is asked for twice, as each costs an evaluation.

    Args:
        own_scores: each ingredient -> its score alone, on the selection part.
        score_of: ingredients -> the score of their soup there; asked for two or more.

    Raises:
        ValueError: there are no ingredients.
    """
    known = {frozenset((name,)): score for name, score in own_scores.items()}

    async def remembered(ingredients: tuple[str, ...]) -> float:
        key = frozenset(ingredients)
        if key not in known:
            known[key] = await score_of(ingredients)
        return known[key]

    greedy = await greedy_soup(own_scores, remembered)
    everything = tuple(sorted(own_scores))
    uniform_score = await remembered(everything)
    if uniform_score >= greedy.score:
        kind: Literal["uniform", "greedy"] = "uniform"
        chosen, score = everything, uniform_score
    else:
        kind, chosen, score = "greedy", greedy.ingredients, greedy.score
    return SoupChoice(kind, chosen, score, dict(own_scores), uniform_score, greedy)
