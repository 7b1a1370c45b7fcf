"""What the serving code has to know about a model: how to ask it, and whether it sees.

A model folder carries these facts in `docloop.json`. A model from a hub has no such file and is
described by the settings instead.
"""

import json
from dataclasses import dataclass
from pathlib import Path

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
        sees_images: whether pages travel with the request.
        capitals: free text is answered in capitals, whatever the print; evidence keeps the print.
        special_tokens: tags that are single tokens of its vocabulary, as "<surname>". Other tags
            are spelled out.
    """

    version: str
    base: str = ""
    style: PromptStyle = PromptStyle.DESCRIBED
    sees_images: bool = True
    capitals: bool = False
    special_tokens: frozenset[str] = frozenset()

    @classmethod
    def load(cls, folder: Path) -> "ModelTraits | None":
        """The traits of a model folder; None where it has no `docloop.json`.

        Raises:
            ValueError: the file is no JSON object with a version.
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
            sees_images=bool(content.get("sees_images", True)),
            capitals=bool(content.get("capitals", False)),
            special_tokens=frozenset(content.get("special_tokens", ())),
        )
