"""Is the page right: the share of its unit tests that pass."""

from functools import lru_cache

from extraction.unit_tests import Case, Page, read_case
from trainer.rewards.base import RewardFunction, Rollout
from trainer.rewards.page_text import read_answer_text
from trainer.rewards.task import decode_task


class PageTests(RewardFunction):
    """U = passed / tests, 0 to 1; None for a task without tests.

    The tests are olmOCR-bench's (`extraction/unit_tests`), run on the answer's Markdown without its
    front matter. Of a cut answer the text before the cut is tested. A page has tests of every kind
    that it has something for, so that what is left out, invented, out of order or repeated costs.

    Source: the unit test reward of olmOCR 2 (Poznanski et al. 2025, arXiv 2510.19817). Its reward
    for the end token is `ended`, that for metadata on top `front_matter`.
    """

    __name__ = "page_tests"

    def score(self, rollout: Rollout) -> float | None:
        """The share of tests that pass."""
        cases = _cases(rollout.key)
        if not cases:
            return None
        page = Page(read_answer_text(rollout.text).text)
        return sum(case.check(page).passed for case in cases) / len(cases)


@lru_cache(maxsize=64)
def _cases(task: str) -> tuple[Case, ...]:
    return tuple(read_case(test) for test in decode_task(task).tests)
