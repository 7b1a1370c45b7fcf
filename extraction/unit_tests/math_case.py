"""`math`: an equation stands on the page, as it is seen and not as it is written."""

from dataclasses import dataclass

from rapidfuzz import fuzz

from extraction.unit_tests.cases import PASSED, Case, InvalidCase, Verdict, failed, shortened
from extraction.unit_tests.compare import is_seen_in
from extraction.unit_tests.page import Page
from extraction.unit_tests.rendering import render


@dataclass(frozen=True, kw_only=True)
class Math(Case):
    r"""An equation.

    Attributes:
        math: its TeX source, without delimiters.
        ignore_dollar_delimited: whether only `\(` and `\[` begin an equation.
    """

    math: str
    ignore_dollar_delimited: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.math, str) or not self.math.strip():
            raise InvalidCase(self.id, "`math` is empty")

    def check(self, page: Page) -> Verdict:
        """Whether an equation of the page is it, or has it inside; the most alike first."""
        sources = page.equations(dollars=not self.ignore_dollar_delimited)
        if not sources:
            return failed("no equation on the page")
        if self.math in sources:
            return PASSED
        reference = render(self.math)
        alike = sorted(dict.fromkeys(sources), key=lambda source: -fuzz.ratio(source, self.math))
        if any(is_seen_in(reference, render(source)) for source in alike):
            return PASSED
        return failed(f"'{shortened(self.math)}' is not on the page; nearest: '{alike[0]}'")
