"""What the serving code has to know about a model: how to ask it, and whether it sees.

A model folder carries these facts in `docloop.json`. A model from a hub has no such file and is
described by the settings instead.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path

from extraction.layout import Layout
from extraction.page_view import PageView
from extraction.prompt import PromptStyle

CARD = "docloop.json"


@dataclass(frozen=True, slots=True)
class ModelTraits:
    """Facts about a model version.

    Attributes:
        version: immutable, content-addressed name; it is the served name and stands in every
            prediction.
        base: the model that it was made from.
        style: how much a prompt has to explain.
        layout: how its prompts show where lines stand. A model is asked as it was trained.
        sees_images: whether pages travel with the request.
        pages: how large pages are shown, and how many.
        capitals: free text is answered in capitals, whatever the print; evidence keeps the print.
        types: names of the types beside receipts, passports and a caller's own that it was trained
            to write. A model without a card of ours is taken to write what it is told to.
        special_tokens: tags that are single tokens of its vocabulary, as "<surname>". Other tags
            are spelled out.
    """

    version: str
    base: str = ""
    style: PromptStyle = PromptStyle.DESCRIBED
    layout: Layout = Layout.ROWS
    sees_images: bool = True
    pages: PageView = field(default_factory=PageView)
    capitals: bool = False
    types: frozenset[str] = frozenset()
    special_tokens: frozenset[str] = frozenset()

    @classmethod
    def load(cls, folder: Path) -> "ModelTraits | None":
        """The traits of a model folder; None where it has no `docloop.json`.

        Raises:
            ValueError: the file is no JSON object with a version, or says something of pages that
                is not known.
        """
        card = folder / CARD
        if not card.exists():
            return None
        content = json.loads(card.read_text())
        if not isinstance(content, dict) or not content.get("version"):
            raise ValueError(f"{CARD} must be a JSON object with a version")
        return cls(
            version=str(content["version"]),
            base=str(content.get("base", "")),
            style=PromptStyle(content.get("style", PromptStyle.DESCRIBED)),
            layout=Layout(content.get("layout", Layout.ROWS)),
            sees_images=bool(content.get("sees_images", True)),
            pages=PageView.read(content.get("pages", {})),
            capitals=bool(content.get("capitals", False)),
            types=frozenset(content.get("types", ())),
            special_tokens=frozenset(content.get("special_tokens", ())),
        )

    def writes(self, document_type: str) -> bool:
        """Whether it can be expected to answer this type, a page or a graph, as it should."""
        return self.style is PromptStyle.DESCRIBED or document_type in self.types
