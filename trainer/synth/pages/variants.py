"""A page's truth made worse in a known way, to see that its tests tell.

shuffled     blocks in reverse order     fails `order` alone
truncated    the first half              fails what it lacks: present, order, table, math
leaking      with headers and footers    fails `absent` alone
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from extraction.markdown.front_matter import TEXT
from extraction.unit_tests import Page, read_case
from trainer.synth.pages.html_tree import parse_html
from trainer.synth.pages.pieces import running_texts
from trainer.synth.pages.shards import StoredPage


def shuffled(page: StoredPage) -> str:
    """The blocks in reverse order."""
    return "\n\n".join(reversed(str(page.record[TEXT]).split("\n\n")))


def truncated(page: StoredPage) -> str:
    """The first half of the text."""
    text = str(page.record[TEXT])
    return text[: len(text) // 2]


def leaking(page: StoredPage) -> str:
    """The text between the page's running header and footer."""
    running = running_texts(parse_html(page.extra["html"].decode()))
    middle = len(running) // 2
    return "\n\n".join([*running[:middle], str(page.record[TEXT]), *running[middle:]])


VARIANTS: Mapping[str, Callable[[StoredPage], str]] = MappingProxyType(
    {
        "truth": lambda page: str(page.record[TEXT]),
        "shuffled": shuffled,
        "truncated": truncated,
        "leaking": leaking,
    }
)
ALLOWED: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "truth": frozenset(),
        "shuffled": frozenset({"order"}),
        "truncated": frozenset({"present", "order", "table", "math"}),
        "leaking": frozenset({"absent"}),
    }
)
"""The kinds of tests that may fail on each variant."""


def failed_kinds(text: str, tests: Sequence[Mapping[str, object]]) -> Counter[str]:
    """How many tests of each kind a text fails."""
    judged = Page(text)
    return Counter(str(t["type"]) for t in tests if not read_case(t).run(judged).passed)
