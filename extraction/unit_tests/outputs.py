"""Tests over a folder of Markdown, one file a page and reading."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from extraction.unit_tests.baseline import Baseline
from extraction.unit_tests.cases import Case, Verdict, failed
from extraction.unit_tests.page import Page

_HALF = 0.5


class Outputs:
    """A folder with `NAME_pgPAGE_repeatN.md` for the pages of `NAME.pdf`, in the same subfolders.

    Args:
        folder: has the files.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pages: dict[tuple[str, int], list[Page]] = {}

    def pages(self, pdf: str, number: int) -> list[Page]:
        """Every reading of a page, in the order of their names; read once."""
        key = (pdf, number)
        if key not in self._pages:
            stem = PurePosixPath(pdf).with_suffix("")
            wanted = re.compile(rf"{re.escape(stem.name)}_pg{number}_repeat\d+\.md")
            folder = self._folder / stem.parent
            files = sorted(folder.iterdir()) if folder.is_dir() else []
            self._pages[key] = [
                Page(file.read_text(encoding="utf-8"))
                for file in files
                if wanted.fullmatch(file.name)
            ]
        return self._pages[key]

    def verdict(self, case: Case) -> Verdict:
        """Whether more than half of the page's readings pass; why the first one fails, if one does.

        A page without a file fails.
        """
        verdicts = [case.check(page) for page in self.pages(case.pdf, case.page)]
        if not verdicts:
            return failed(f"no output of page {case.page} of {case.pdf}")
        why = next((verdict.why for verdict in verdicts if not verdict.passed), "")
        share = sum(verdict.passed for verdict in verdicts) / len(verdicts)
        return Verdict(share > _HALF, why)


def with_baselines(cases: Iterable[Case]) -> Iterator[Case]:
    """The tests, and a baseline of page 1 for each document that has none."""
    cases = list(cases)
    yield from cases
    have = {case.pdf for case in cases if case.type == "baseline"}
    for pdf in dict.fromkeys(case.pdf for case in cases if case.pdf not in have):
        yield Baseline(pdf=pdf, page=1, id=f"{pdf}_baseline", type="baseline")
