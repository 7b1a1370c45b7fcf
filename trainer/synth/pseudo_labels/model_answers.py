"""A model's Markdown of a page: from files, or asked of an endpoint."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from extraction.errors import DocloopError
from trainer.synth.convert.endpoint import EndpointSettings, VisionEndpoint

_BUDGET_TOKENS: Final = 50_000_000


class NoAnswers(DocloopError):
    """Neither a folder of answers nor an endpoint is given."""

    slug = "no-answers"

    def __init__(self) -> None:
        super().__init__(
            "Pseudo-labels need a model's Markdown of each page: pass --answers FOLDER, or "
            "--endpoint and --model of an OpenAI-compatible vision model."
        )


@dataclass(frozen=True, slots=True)
class Asked:
    """A page that Markdown is wanted of.

    Attributes:
        pdf: its file.
        number: of the page, from 1.
        image: JPEG.
    """

    pdf: Path
    number: int
    image: bytes


AskPage = Callable[[Asked], Awaitable[str | None]]


@dataclass(frozen=True, slots=True)
class Answers:
    """Where a model's Markdown comes from.

    Attributes:
        folder: of files NAME_pgN_repeat1.md or NAME_pgN.md, at any depth; None for an endpoint.
        settings: of the endpoint; None for a folder.
    """

    folder: Path | None
    settings: EndpointSettings | None

    @property
    def name(self) -> str:
        """For the manifest."""
        return self.settings.model if self.settings else (self.folder.name if self.folder else "")

    def from_files(self) -> AskPage:
        """Reads the folder's files."""
        found: dict[str, Path] = {}
        for path in sorted((self.folder or Path()).rglob("*.md")):
            found.setdefault(path.stem.removesuffix("_repeat1"), path)

        async def ask(page: Asked) -> str | None:
            path = found.get(f"{page.pdf.stem}_pg{page.number}")
            return None if path is None else path.read_text(encoding="utf-8")

        return ask

    def from_endpoint(self, endpoint: VisionEndpoint) -> AskPage:
        """Asks the endpoint as a served model is asked for a page."""
        from extraction.markdown.ask import page_request

        async def ask(page: Asked) -> str | None:
            answer = await endpoint.ask(page_request(described=True), [page.image])
            return answer.text if answer.is_whole else None

        return ask

    def endpoint(self, cache: Path) -> VisionEndpoint | None:
        """The endpoint, not opened yet; None for a folder."""
        if self.settings is None:
            return None
        return VisionEndpoint(self.settings, cache, _BUDGET_TOKENS)


def answers_from(folder: Path | None, address: str | None, model: str | None) -> Answers:
    """A folder where one is given, else the endpoint.

    Raises:
        NoAnswers: neither is given.
        NoEndpoint: the endpoint is given in part.
    """
    if folder is not None:
        return Answers(folder, None)
    if address is None and model is None:
        import os

        from trainer.synth.convert.endpoint import ENDPOINT_VARIABLE

        if not os.environ.get(ENDPOINT_VARIABLE):
            raise NoAnswers
    return Answers(None, EndpointSettings.of(address, model))
