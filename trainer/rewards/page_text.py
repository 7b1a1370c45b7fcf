"""A page's answer as its rewards read it: the front matter, wherever it stands, and the text."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from extraction.document_types.document import is_document
from extraction.markdown.front_matter import KEYS, TEXT
from trainer.rewards.base import Rollout

_THOUGHT = re.compile(r"\A\s*<think>.*?(?:</think>|\Z)\s*", re.DOTALL)
_LINE = rf"(?:{'|'.join(KEYS)})[ \t]*:[^\n]*\n"
_FRONT_MATTER = re.compile(rf"^---[ \t]*\n(?P<facts>(?:{_LINE})+)---[ \t]*(?:\n|\Z)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class PageText:
    """An answer's parts.

    Attributes:
        text: the Markdown without the front matter.
        keys: which of the five facts the front matter has; none without one.
        before: characters that stand before it, white space left out.
        length: characters of the answer, white space left out.
    """

    text: str
    keys: frozenset[str]
    before: int
    length: int


# The page's rewards read the same completions, one reward after the other.
@lru_cache(maxsize=4096)
def read_answer_text(answer: str) -> PageText:
    """The parts of an answer; a thought before it is none of them.

    A front matter is a run of lines between two fences, each with one of the five keys. It counts
    where it stands, and only the first one is taken out of the text.
    """
    answer = _THOUGHT.sub("", answer)
    found = _FRONT_MATTER.search(answer)
    if found is None:
        return PageText(answer, frozenset(), 0, _visible(answer))
    keys = frozenset(line.partition(":")[0].strip() for line in found["facts"].splitlines())
    before = answer[: found.start()]
    text = f"{before}{answer[found.end() :]}"
    return PageText(text, keys, _visible(before), _visible(answer))


def expected_text(rollout: Rollout) -> str | None:
    """The page's confirmed Markdown; None for other types, and where nobody has confirmed it."""
    if not is_document(rollout.task.asked.document_type):
        return None
    pages = rollout.task.reference.get("pages")
    texts = [_text_of(page) for page in pages] if isinstance(pages, list) else []
    known = [text for text in texts if text is not None]
    return "\n\n".join(known) if known and len(known) == len(texts) else None


def _text_of(page: Any) -> str | None:
    """Of one page; null says that it is empty, a missing key that nobody knows."""
    if not isinstance(page, Mapping) or TEXT not in page:
        return None
    return str(page[TEXT] or "")


def _visible(text: str) -> int:
    return sum(map(len, text.split()))
