"""Does the front matter stand on top of the page."""

from extraction.document_types.document import is_document
from extraction.markdown.front_matter import KEYS
from trainer.rewards.base import RewardFunction, Rollout
from trainer.rewards.page_text import read_answer_text


class FrontMatter(RewardFunction):
    """M = (keys / 5) * (1 - before / length), 0 to 1; None for types other than `document`.

    keys counts which of the five facts the first front matter has, `before` the characters that
    stand before it, `length` those of the whole answer, both without white space. So it is 1 for a
    whole front matter on top, less the further down it stands, and 0 without one. Whether the
    facts are right is scored by `fields`.

    Source: the reward of olmOCR 2 for document metadata at the top of the answer (Poznanski et al.
    2025, arXiv 2510.19817); the share of characters makes its position a number.
    """

    __name__ = "front_matter"

    def score(self, rollout: Rollout) -> float | None:
        """1 for five facts on top."""
        if not is_document(rollout.task.asked.document_type):
            return None
        answer = read_answer_text(rollout.text)
        if not answer.keys:
            return 0.0
        return len(answer.keys) / len(KEYS) * (1 - answer.before / answer.length)
