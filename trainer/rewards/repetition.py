"""Does the answer say the same over and over."""

from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from trl.rewards import get_repetition_penalty_reward

from extraction.document_types.base import FieldSpec, Kind
from trainer.rewards.answer import Answer, is_absent
from trainer.rewards.base import Decode, RewardFunction, Rollout
from trainer.rewards.task import decode_task

_WORDS = 3
_TOKENS = 3
# Their values repeat because there are few of them.
_FEW_VALUES = frozenset({Kind.BOOLEAN, Kind.CHOICE})

Piece = tuple[str, ...]


class Repetition(RewardFunction):
    """R = -(1 - distinct pieces / all pieces), -1 to 0, never None: TRL's repetition penalty.

    TRL counts n-grams of token ids. Keys of a JSON record repeat with every element of a list, so
    an answer that is right would lose. Of a whole record its values are counted instead: three
    words in a row of each value, or all words of a shorter one. A piece may stand as often as the
    page prints it or the reference has it, once at least; each permitted time counts as distinct.
    What is no whole record is counted as TRL does, over its token ids with n = 3.

    Source: Yeo et al. 2025, "Demystifying Long Chain-of-Thought Reasoning", appendix C.2.
    """

    __name__ = "repetition"

    def __init__(self, end_token_ids: Sequence[int], decode: Decode | None = None) -> None:
        super().__init__(end_token_ids, decode)
        self._of_tokens = get_repetition_penalty_reward(ngram_size=_TOKENS, max_penalty=-1.0)
        self._of_pieces = get_repetition_penalty_reward(ngram_size=1, max_penalty=-1.0)

    def score(self, rollout: Rollout) -> float:
        """0 without repetition, towards -1 for nothing else."""
        answer = rollout.answer
        if answer is None or not answer.complete:
            penalties: list[float] = self._of_tokens([list(rollout.token_ids)])
        else:
            penalties = self._of_pieces([list(_numbered(answer, rollout.key))])
        return penalties[0]


def _numbered(answer: Answer, task: str) -> Iterator[Hashable]:
    """Each piece with its number, which stays where the piece stands more often than permitted."""
    page, known = _page(task), _reference_pieces(task)
    counts: Counter[Piece] = Counter()
    for leaf in answer.leaves:
        if leaf.spec.kind in _FEW_VALUES:
            continue
        value = answer.values[leaf.path]
        pieces = _pieces(leaf.raw if value is None else value)
        for piece in pieces:
            counts[piece] += 1
            # A date on a page looks otherwise than its value.
            printed = _squeezed(leaf.raw if len(pieces) == 1 else "".join(piece))
            permitted = max(1, known[piece], page.count(printed) if counts[piece] > 1 else 1)
            yield piece, min(counts[piece], permitted)


def _pieces(value: Any) -> list[Piece]:
    words = str(value).casefold().split()
    if len(words) < _WORDS:
        return [tuple(words)]
    return [tuple(words[at : at + _WORDS]) for at in range(len(words) - _WORDS + 1)]


@lru_cache(maxsize=64)
def _page(task: str) -> str:
    return "\n".join(_squeezed(line.text) for line in decode_task(task).lines)


def _squeezed(text: str) -> str:
    return "".join(letter for letter in text.casefold() if letter.isalnum())


@lru_cache(maxsize=64)
def _reference_pieces(task: str) -> Counter[Piece]:
    decoded = decode_task(task)
    fields = decoded.asked.document_type.fields
    return Counter(
        piece
        for spec in fields
        for value in _leaf_values(spec, decoded.reference.get(spec.name))
        for piece in _pieces(value)
    )


def _leaf_values(spec: FieldSpec, value: Any) -> Iterator[Any]:
    if is_absent(value):
        return
    if spec.kind is Kind.LIST:
        for element in value:
            if spec.children:
                yield from _inside(spec, element)
            else:
                yield element
    elif spec.children:
        yield from _inside(spec, value)
    else:
        yield value


def _inside(spec: FieldSpec, value: Mapping[str, Any]) -> Iterator[Any]:
    for child in spec.children:
        yield from _leaf_values(child, value.get(child.name))
