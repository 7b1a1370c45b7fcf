"""`order`: a text stands before another."""

from dataclasses import dataclass

from extraction.unit_tests.cases import PASSED, Case, InvalidCase, Verdict, failed, shortened
from extraction.unit_tests.near import starts
from extraction.unit_tests.normalise import normalise
from extraction.unit_tests.page import Page


@dataclass(frozen=True, kw_only=True)
class Order(Case):
    """Two texts of which one comes first. `max_diffs` is a Levenshtein distance here.

    Attributes:
        before: the text that comes first.
        after: the one that comes later.
    """

    before: str
    after: str

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("before", "after"):
            text = getattr(self, name)
            if not isinstance(text, str) or not normalise(text).strip():
                raise InvalidCase(self.id, f"`{name}` is empty")
            self.set(name, normalise(text))
        if self.max_diffs > min(len(self.before), len(self.after)) // 2:
            raise InvalidCase(self.id, "`max_diffs` is more than half of a text")

    def check(self, page: Page) -> Verdict:
        """Whether any place of the one begins before any place of the other."""
        before = starts(self.before, page.text, self.max_diffs)
        if not before:
            return failed(f"'{shortened(self.before)}' is not on the page")
        after = starts(self.after, page.text, self.max_diffs)
        if not after:
            return failed(f"'{shortened(self.after)}' is not on the page")
        if before[0] < after[-1]:
            return PASSED
        why = f"'{shortened(self.before)}' only comes after '{shortened(self.after)}'"
        return failed(why)
