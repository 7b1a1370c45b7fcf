"""What all tests share: the fields that name one, its verdict, and what makes a test invalid."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import NamedTuple

from extraction.unit_tests.page import Page


class InvalidCase(ValueError):
    """A test whose fields say nothing that could be checked.

    Attributes:
        case: its id, or where it stands if it has none.
        why: what is wrong with it.
    """

    def __init__(self, case: str, why: str) -> None:
        self.case = case
        self.why = why
        super().__init__(f"Test {case}: {why}.")


class Verdict(NamedTuple):
    """Of one test on one page.

    Attributes:
        passed: whether the fact holds.
        why: empty where it does, otherwise what was found in its place.
    """

    passed: bool
    why: str


PASSED = Verdict(passed=True, why="")


def failed(why: str) -> Verdict:
    """The fact does not hold."""
    return Verdict(passed=False, why=why)


@dataclass(frozen=True, kw_only=True)
class Case(ABC):
    """One test. Immutable, hashable and picklable.

    Attributes:
        pdf: the document's file.
        page: of it, from 1.
        id: unique in its file.
        type: the kind.
        max_diffs: differences that a text may have and still count as found.
        checked: "verified" or "rejected" by a person.
        url: where the document came from.

    Raises:
        InvalidCase: the fields say nothing that could be checked.
    """

    pdf: str
    page: int
    id: str
    type: str
    max_diffs: int = 0
    checked: str | None = None
    url: str | None = None

    def __post_init__(self) -> None:
        if not self.pdf:
            raise InvalidCase(self.id or "without id", "`pdf` is empty")
        if not self.id:
            raise InvalidCase("without id", "`id` is empty")
        if not isinstance(self.max_diffs, int) or self.max_diffs < 0:
            raise InvalidCase(self.id, "`max_diffs` is no whole number from 0")

    def run(self, page: Page | str) -> Verdict:
        """The verdict on a page's Markdown; a `Page` keeps what its tests have in common."""
        return self.check(page if isinstance(page, Page) else Page(page))

    @abstractmethod
    def check(self, page: Page) -> Verdict:
        """The verdict on a prepared page."""

    def set(self, name: str, value: object) -> None:
        """Sets a field while the test is made: its normalised form."""
        object.__setattr__(self, name, value)


def threshold(length: int, max_diffs: int) -> float:
    """1 - max_diffs / length: the least similarity, 0 to 1, that counts as found."""
    return 1.0 - (max_diffs / (length or 1))


def shortened(text: str) -> str:
    """The text's begin, for an explanation."""
    limit = 40
    return text if len(text) <= limit else f"{text[:limit]}..."
