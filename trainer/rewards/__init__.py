"""Rewards of GRPO: what can be verified of an answer, as numbers (`docs/rewards.md`).

R = sum over the rewards of weight x reward, where a reward of None counts nothing. Every reward is
pure, takes a batch, can be pickled, and is recorded apart, also with weight 0. The right answer
has the most that each applicable reward can give.
"""

from collections.abc import Collection

from trainer.profile import RewardsSection
from trainer.rewards.arithmetic import ReceiptArithmetic
from trainer.rewards.base import Decode, RewardFunction, TokenizerDecode
from trainer.rewards.dates import DateFormat
from trainer.rewards.ending import Ended
from trainer.rewards.fields import FieldScores
from trainer.rewards.graph import (
    GraphEntities,
    GraphRelationAccuracy,
    GraphRelations,
    GraphValid,
)
from trainer.rewards.layout import LayoutCount, LayoutDistance, LayoutOrder
from trainer.rewards.mrz import Mrz
from trainer.rewards.page import PageTests
from trainer.rewards.page_front_matter import FrontMatter
from trainer.rewards.reasoning import ReasoningFormat
from trainer.rewards.repetition import Repetition
from trainer.rewards.task import Task, decode_task, encode_task
from trainer.rewards.valid_record import ValidRecord

__all__ = [
    "REWARDS",
    "DateFormat",
    "Ended",
    "FieldScores",
    "FrontMatter",
    "GraphEntities",
    "GraphRelationAccuracy",
    "GraphRelations",
    "GraphValid",
    "LayoutCount",
    "LayoutDistance",
    "LayoutOrder",
    "Mrz",
    "PageTests",
    "ReasoningFormat",
    "ReceiptArithmetic",
    "Repetition",
    "RewardFunction",
    "Task",
    "TokenizerDecode",
    "ValidRecord",
    "decode_task",
    "encode_task",
    "make_rewards",
]

REWARDS: tuple[type[RewardFunction], ...] = (
    ValidRecord,
    FieldScores,
    DateFormat,
    Mrz,
    ReceiptArithmetic,
    Ended,
    ReasoningFormat,
    Repetition,
    PageTests,
    FrontMatter,
    LayoutDistance,
    LayoutCount,
    LayoutOrder,
    GraphValid,
    GraphEntities,
    GraphRelations,
    GraphRelationAccuracy,
)


def make_rewards(
    weights: RewardsSection, *, end_token_ids: Collection[int], decode: Decode | None = None
) -> tuple[list[RewardFunction], list[float]]:
    """All rewards with their weights, in the order of the profile's section.

    Args:
        weights: by name; a reward of weight 0 is recorded all the same.
        end_token_ids: tokens that end an answer.
        decode: reads the sampled tokens with their special tokens. Needed where tags of entity
            tokens or `<think>` are special tokens, because TRL's text has none.
    """
    made = [reward(end_token_ids, decode) for reward in REWARDS]
    # A class has its own `__name__`; the reward's is that of its instances.
    by_name = {reward.__name__: reward for reward in made}
    section = weights.model_dump()
    return [by_name[name] for name in section], [float(weight) for weight in section.values()]
