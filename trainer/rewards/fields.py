"""Are the values right: the score of serving, gate and metrics as a reward."""

from extraction.scoring import score_confirmed
from trainer.rewards.base import RewardFunction, Rollout


class FieldScores(RewardFunction):
    """F = sum(s_i) / (n + k), 0 to 1; None where the reference confirms nothing.

    s_i is `score_record`'s score of each of the n fields with a reference: rapidfuzz's ratio for
    text, equality after normalisation for money, dates, codes and the rest, the best assignment of
    elements for lists. k counts the fields that are answered though the reference confirms their
    absence (`score_confirmed`). What does not parse scores 0; of a cut answer the values before
    the cut count, as they do in serving.

    Source: the fuzzy mean over fields of the SROIE fine-tuning; the penalty is that of a list's
    surplus elements.
    """

    __name__ = "fields"

    def score(self, rollout: Rollout) -> float | None:
        """The mean score of the confirmed fields, less for invented ones."""
        record = None if rollout.answer is None else rollout.answer.record
        return score_confirmed(rollout.task.asked.document_type, rollout.task.reference, record)
