"""Does the answer end by itself."""

from trainer.rewards.base import RewardFunction, Rollout


class Ended(RewardFunction):
    """E = 1 if the last sampled token is an end token, else 0; never None.

    An answer without one was cut at the limit: a loop, or a text that never comes to its end.
    Source: the end token reward of olmOCR 2 (Poznanski et al. 2025).
    """

    __name__ = "ended"

    def score(self, rollout: Rollout) -> float:
        """1 for an answer that ended by itself."""
        return float(rollout.ended)
