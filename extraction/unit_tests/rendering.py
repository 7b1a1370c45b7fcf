"""Equations as KaTeX renders them, without a browser: an embedded JavaScript engine runs KaTeX.

KaTeX makes a tree of boxes with the metrics of its fonts; a browser would only place them. Its
style sheet is small, so `layout.py` places them here. One context a thread, made when first needed.
"""

import json
import re
import threading
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import quickjs  # type: ignore[import-untyped]

from extraction.unit_tests.layout import Mark, lay_out

_FOLDER = Path(__file__).parent / "katex"
# An equation of a page takes 10 ms; what takes longer than this is a trap or a loop.
_MOST_SECONDS = 2
_MOST_BYTES = 512 * 2**20
_MOST_STACK_BYTES = 512 * 2**10
_SPACE = re.compile(r"\s+")
_local = threading.local()


@dataclass(frozen=True, slots=True)
class Rendering:
    """An equation as it is seen.

    Attributes:
        mathml: what KaTeX understood, without white space and without the source.
        marks: the characters in their places, in KaTeX's order.
        error: KaTeX's message where it does not render, and then nothing else is known.
    """

    mathml: str
    marks: tuple[Mark, ...]
    error: str | None = None


# A page's equations are asked for by each of its tests, and by each completion of a group.
@lru_cache(maxsize=8192)
def render(source: str) -> Rendering:
    """The equation in display style."""
    try:
        tree: Any = json.loads(_context().eval(f"treeOf({json.dumps(source)})"))
        return Rendering(_SPACE.sub("", tree["mathml"]), lay_out(tree["boxes"]))
    except quickjs.JSException as error:
        return Rendering("", (), str(error).split("\n", maxsplit=1)[0])
    except RecursionError:
        return Rendering("", (), "nested too deep")


def _context() -> quickjs.Context:
    context: quickjs.Context | None = getattr(_local, "context", None)
    if context is None:
        context = quickjs.Context()
        context.set_memory_limit(_MOST_BYTES)
        context.set_max_stack_size(_MOST_STACK_BYTES)
        for name in ("katex.min.js", "tree.js"):
            context.eval((_FOLDER / name).read_text(encoding="utf-8"))
        context.set_time_limit(_MOST_SECONDS)
        _local.context = context
    return context
