"""Is the thought where it belongs."""

from trl.rewards import think_format_reward

from trainer.rewards.base import RewardFunction, Rollout
from trainer.rewards.valid_record import thinks


class ReasoningFormat(RewardFunction):
    """T = 1 for one `<think>...</think>` before the answer, 0 for any other form.

    Where a thought was asked this is `trl.rewards.think_format_reward`: the completion starts with
    `<think>`, has no second one, and closes it. Where none was asked, None, and 0 if there is one
    all the same; then `ValidRecord` is 0 too, so that it costs something.

    Source: the format reward of DeepSeek-R1 (DeepSeek-AI 2025), as TRL has it.
    """

    __name__ = "reasoning_format"

    def score(self, rollout: Rollout) -> float | None:
        """1 for a thought in its place."""
        if not rollout.task.asked.reasoning:
            return 0.0 if thinks(rollout) else None
        scores: list[float] = think_format_reward([[{"content": rollout.text}]])
        return scores[0]
