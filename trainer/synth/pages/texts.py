"""Plain texts that state a graph: the same sentences as on pages, without a page."""

import random

from markupsafe import Markup

from trainer.synth.pages.facts import Cast
from trainer.synth.pages.html_tree import parse_html
from trainer.synth.pages.pieces import read_pieces
from trainer.synth.pages.training_rows import GraphText
from trainer.synth.pages.truth import graph_of
from trainer.synth.pages.words_of import codes
from trainer.synth.pages.writer import Writer


def make_text(key: str, languages: tuple[str, ...] = ()) -> GraphText:
    """The text of a key: one to three paragraphs with one to six relations.

    Args:
        key: seed and position, as "7/12".
        languages: ISO 639-1, to draw from; all where there are none.
    """
    rng = random.Random(f"text/{key}")
    language = rng.choice(languages or codes())
    writer = Writer(rng, language)
    cast = Cast(writer)
    paragraphs = [
        Markup("<p>{}</p>").format(cast.paragraph(rng.randint(1, 2), rng.randint(0, 2)))
        for _ in range(rng.randint(1, 3))
    ]
    body = parse_html("".join(paragraphs))
    text = "\n\n".join(piece.markdown for piece in read_pieces(body))
    return GraphText(key, language, text, graph_of(body))
