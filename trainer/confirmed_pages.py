"""Unit tests of a page whose Markdown a person confirmed, for the reward `page_tests`.

Generated pages come with theirs. A confirmed page asks for its own sentences, their order, the
neighbours of its tables' cells and its formulas; what stood in its header is not known.
"""

import random
from collections.abc import Mapping
from typing import Any

from extraction.document_types.document import is_document
from extraction.markdown.front_matter import TEXT
from extraction.prompt import Asked
from extraction.unit_tests.equations import equations_in
from trainer.synth.pages.generate import checked
from trainer.synth.pages.html_tree import parse_html
from trainer.synth.pages.page_tests import Test, page_tests
from trainer.synth.pages.pieces import Piece, read_pieces
from trainer.synth.pseudo_labels.agreement import regions_of
from trainer.synth.pseudo_labels.label import plain_piece


def confirmed_tests(asked: Asked, record: Mapping[str, Any], name: str) -> tuple[Test, ...]:
    """The tests of a confirmed page; none for other types, and of several pages.

    Args:
        asked: what was asked.
        record: the confirmed values.
        name: of the document; decides what is asked for.
    """
    pages = record.get("pages")
    if not is_document(asked.document_type) or not isinstance(pages, list) or len(pages) != 1:
        return ()
    text = str(pages[0].get(TEXT) or "")
    pieces = [piece for block in regions_of(text) for piece in _pieces(block)]
    made = page_tests(pieces, (), name=name, rng=random.Random(f"confirmed/{name}"))
    return tuple(checked(made, text)[0])


def _pieces(block: str) -> list[Piece]:
    if block.lstrip().startswith("<table"):
        return read_pieces(parse_html(block))
    formulas = tuple(equations_in(block, dollars=False))
    if formulas:
        return [Piece("formula", block, (), formulas)]
    return [plain_piece(block)]
