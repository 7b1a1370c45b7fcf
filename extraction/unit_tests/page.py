"""A page's Markdown, prepared once for all of its tests."""

from functools import cached_property

from extraction.unit_tests.equations import equations_in
from extraction.unit_tests.html_tables import html_tables
from extraction.unit_tests.markdown_tables import markdown_tables
from extraction.unit_tests.normalise import normalise
from extraction.unit_tests.tables import Table


class Page:
    """Markdown with its normalised text, its tables and its equations, each worked out once.

    Args:
        content: the Markdown as the model wrote it, without front matter.
    """

    def __init__(self, content: str) -> None:
        self.content = content
        self._equations: dict[bool, list[str]] = {}

    @cached_property
    def text(self) -> str:
        """Normalised."""
        return normalise(self.content)

    @cached_property
    def lower(self) -> str:
        """Normalised, in lower case."""
        return self.text.lower()

    @cached_property
    def markdown_tables(self) -> list[Table]:
        """Of lines with pipes."""
        return markdown_tables(self.content)

    @cached_property
    def html_tables(self) -> list[Table]:
        """Of `<table>`."""
        return html_tables(self.content)

    def equations(self, *, dollars: bool) -> list[str]:
        r"""Sources between `\\(` and `\\)`, `\\[` and `\\]`, and dollars where they count."""
        if dollars not in self._equations:
            self._equations[dollars] = equations_in(self.content, dollars=dollars)
        return self._equations[dollars]
