"""Pages -> Markdown, page by page: what a model writes, or what the lines alone give.

    page -> prompt -> answer -> looping? another temperature -> turned? turn it, again -> page

A model that was not trained to write pages is not asked: its pages are laid out from the lines and
say so by their source, "lines". So is a page on which a model fails for good.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from rapidfuzz import fuzz

from extraction.answer import answer_tokens, grammar_of
from extraction.document_types.document import DEGREES, DOCUMENT
from extraction.engine import Completion, Prompt, Sampling
from extraction.errors import PromptTooLong, UnparseableRecord
from extraction.evidence import Evidence
from extraction.lines import Line
from extraction.markdown.from_lines import pages_from_lines
from extraction.markdown.front_matter import KEYS, TEXT
from extraction.markdown.repetition import loops
from extraction.markdown.rotation import correction_of, turned, turned_back
from extraction.normalize import parse_boolean, parse_integer
from extraction.pages import Page
from extraction.plain_text import is_plain_text, text_of
from extraction.prompt import Asked, build_prompt, fits, layout_of
from extraction.record import ParsedAnswer, RawLeaf, parse_record
from extraction.traits import ModelTraits

FROM_LINES: Final = "text-from-lines"
REPEATED: Final = "repetition"
UNSETTLED: Final = "rotation-unsettled"

_ATTEMPTS: Final = ((0.0, 0), (0.3, 1), (0.8, 2))  # temperature and seed
_MOST_TURNS: Final = 3
_PAGES_AT_ONCE: Final = 4
_MOST_SHOWN: Final = 200  # characters of a page's text that stand beside its box

Ask = Callable[[Prompt, Sampling], Awaitable[Completion]]
Read = Callable[[Page], Awaitable[list[Line]]]


@dataclass(frozen=True, slots=True)
class PageReading:
    """One page as it was read.

    Attributes:
        texts: front matter and text as they are written, by path, as "pages.1.natural_text".
        leaves: where a model wrote them; none where the page was laid out from its lines.
        places: by path, where the text stands on the page as it was sent.
        lines: what was read on the page, upright.
        completion: the answer that counts; None where no model has a word in it.
        completions: all answers, those that were thrown away included.
        thought: of that answer.
        is_whole: whether it was not cut.
        warnings: what a reader should know.
    """

    texts: Mapping[str, str]
    leaves: tuple[RawLeaf, ...]
    places: Mapping[str, Evidence | None]
    lines: tuple[Line, ...]
    completion: Completion | None = None
    completions: tuple[Completion, ...] = ()
    thought: str | None = None
    is_whole: bool = True
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Answered:
    """What asking for one page has brought."""

    parsed: ParsedAnswer | None
    completions: list[Completion] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    error: UnparseableRecord | PromptTooLong | None = None


@dataclass(frozen=True, slots=True)
class PageParser:
    """Reads the pages of one document.

    Attributes:
        ask: puts a prompt to the model.
        read: reads the lines of a page that was turned; None where there is no line reader.
        asked: the document, and how it is asked for.
        traits: of the model that is asked.
        use_lines: whether the model is shown the lines.
        max_characters: most characters of lines in a prompt.
    """

    ask: Ask
    read: Read | None
    asked: Asked
    traits: ModelTraits
    use_lines: bool = True
    max_characters: int = 9000

    async def parse(self, pages: Sequence[Page], lines: Sequence[Line]) -> list[PageReading]:
        """Every page of a document, in order; a few of them at a time.

        Args:
            pages: none where only lines are known.
            lines: of all pages.

        Raises:
            UnparseableRecord, PromptTooLong: a model that sees cannot write a page, and there are
                no lines to fall back on.
            EngineUnavailable: see `Engine`.
        """
        count = 1 + max([page.index for page in pages] + [line.page for line in lines], default=0)
        by_index = {page.index: page for page in pages}
        on_page = [[line for line in lines if line.page == index] for index in range(count)]
        slots = asyncio.Semaphore(_PAGES_AT_ONCE)
        laid_out = await asyncio.to_thread(_laid_out, on_page)

        async def one(index: int) -> PageReading:
            async with slots:
                return await self._page(index, by_index.get(index), on_page[index], laid_out[index])

        tasks = [asyncio.create_task(one(index)) for index in range(count)]
        try:
            return list(await asyncio.gather(*tasks))
        except BaseException:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            raise

    async def _page(
        self, index: int, page: Page | None, lines: list[Line], laid_out: Mapping[str, Any]
    ) -> PageReading:
        if not self._can_ask(page, lines):
            return _from_lines(index, lines, laid_out)
        degrees, shown_page, shown = correction_of(lines), page, lines
        tried = {degrees}
        completions: list[Completion] = []
        warnings: list[str] = []
        while True:
            if page is not None:
                shown_page = turned(page, degrees)
            answer = await self._answer(shown_page, shown)
            completions += answer.completions
            warnings += answer.warnings
            if answer.parsed is None:
                break
            more = _correction(answer.parsed) if self.traits.sees_images else 0
            if not more:
                break
            degrees = (degrees + more) % 360
            if page is None or degrees in tried or len(tried) > _MOST_TURNS:
                warnings.append(UNSETTLED)
                break
            tried.add(degrees)
            if self.read is not None and self.use_lines:
                again = await self.read(turned(page, degrees))
                lines = turned_back(again, degrees)
                shown = lines
        if answer.parsed is None:
            if not lines and answer.error is not None:
                raise answer.error
            return _from_lines(index, lines, laid_out, completions, warnings)
        return _from_model(index, lines, answer.parsed, completions, degrees, warnings)

    def _can_ask(self, page: Page | None, lines: Sequence[Line]) -> bool:
        if not self.traits.writes(DOCUMENT.name):
            return False
        if self.traits.sees_images and page is not None:
            return True
        # A blind model that is not shown the whole page would have to make up the rest.
        shown = fits(lines, self.max_characters, layout_of(self.asked))
        return bool(lines) and self.use_lines and shown

    def _prompt(self, page: Page | None, lines: Sequence[Line]) -> Prompt:
        shown = lines if self.use_lines else ()
        seen = [page] if page is not None and self.traits.sees_images else []
        return build_prompt(
            self.asked,
            shown,
            shown=self.traits.pages.show(seen, 1, alone=not shown) if seen else None,
            max_characters=self.max_characters,
        )

    async def _answer(self, page: Page | None, lines: Sequence[Line]) -> _Answered:
        """The first answer that can be read and does not go round in circles."""
        prompt = await asyncio.to_thread(self._prompt, page, lines)
        grammar = grammar_of(self.asked, self.traits.special_tokens)
        found = _Answered(None)
        for temperature, seed in _ATTEMPTS:
            sampling = Sampling(answer_tokens(self.asked), temperature, seed, grammar)
            try:
                completion = await self.ask(prompt, sampling)
            except PromptTooLong as error:
                return replace(found, error=error)
            found.completions.append(completion)
            try:
                parsed = parse_record(completion, self.asked)
            except UnparseableRecord as error:
                found = replace(found, error=error)
                continue
            if not loops(_part(parsed, TEXT), cut=not parsed.complete):
                return replace(found, parsed=parsed)
            found.warnings.append(REPEATED)
            found = replace(found, error=_repeats(completion))
        return found


def _repeats(completion: Completion) -> UnparseableRecord:
    return UnparseableRecord(
        completion.finish_reason,
        "the text repeats itself",
        model_version=completion.model,
        document_type=DOCUMENT.name,
    )


def _laid_out(on_page: Sequence[Sequence[Line]]) -> list[dict[str, Any]]:
    """What the lines alone give; a plain text is its own."""
    pages = pages_from_lines(on_page)
    for page, lines in zip(pages, on_page, strict=True):
        if is_plain_text(lines):
            page |= {TEXT: text_of(lines), "is_rotation_valid": None, "rotation_correction": None}
    return pages


def _correction(parsed: ParsedAnswer) -> int:
    """The clockwise degrees that the answer asks for; 0 where it finds the page upright."""
    if parse_boolean(_part(parsed, "is_rotation_valid")) is not False:
        return 0
    degrees = parse_integer(_part(parsed, "rotation_correction") or "0")
    return degrees if degrees in DEGREES else 0


def _part(parsed: ParsedAnswer, name: str) -> str:
    return next((leaf.raw for leaf in parsed.leaves if leaf.path.endswith(f".{name}")), "")


def _from_model(
    index: int,
    lines: Sequence[Line],
    parsed: ParsedAnswer,
    completions: Sequence[Completion],
    degrees: int,
    warnings: Sequence[str],
) -> PageReading:
    leaves = tuple(
        replace(leaf, path=f"pages.{index}.{leaf.path.rsplit('.', 1)[1]}") for leaf in parsed.leaves
    )
    texts = {leaf.path: leaf.raw for leaf in leaves}
    # What the page was turned by is known; the last answer saw it turned.
    turned_by = {"is_rotation_valid": str(not degrees), "rotation_correction": str(degrees)}
    texts |= {path: turned_by.get(path.rsplit(".", 1)[1], text) for path, text in texts.items()}
    path = f"pages.{index}.{TEXT}"
    text = texts.get(path)
    warned = [REPEATED] if REPEATED in warnings else []
    return PageReading(
        texts=texts,
        leaves=leaves,
        places={path: _place(index, lines, text)} if text else {},
        lines=tuple(lines),
        completion=completions[-1],
        completions=tuple(completions),
        thought=parsed.thought,
        is_whole=parsed.complete,
        warnings=(*warned, *(slug for slug in warnings if slug != REPEATED)),
    )


def _from_lines(
    index: int,
    lines: Sequence[Line],
    laid_out: Mapping[str, Any],
    completions: Sequence[Completion] = (),
    warnings: Sequence[str] = (),
) -> PageReading:
    known = {key: laid_out.get(key) for key in (*KEYS, TEXT)}
    texts = {
        f"pages.{index}.{key}": str(value) for key, value in known.items() if value is not None
    }
    path = f"pages.{index}.{TEXT}"
    text = texts.get(path)
    return PageReading(
        texts=texts,
        leaves=(),
        places={path: _place(index, lines, text)} if text else {},
        lines=tuple(lines),
        completions=tuple(completions),
        warnings=tuple(dict.fromkeys((*warnings, FROM_LINES))),
    )


def _place(index: int, lines: Sequence[Line], text: str) -> Evidence | None:
    """Where a page's text stands: around all of its lines, and how well the two agree."""
    if not lines:
        return None
    printed = " ".join(line.text for line in lines)
    words, there = Counter(text.casefold().split()), Counter(printed.casefold().split())
    common = (words & there).total()
    similarity = 2 * common / (words.total() + there.total()) if common else 0.0
    if not common:  # a script without blanks between words
        similarity = fuzz.ratio(text, printed) / 100
    score = sum(line.score * len(line.text) for line in lines) / max(
        sum(len(line.text) for line in lines), 1
    )
    box = lines[0].box.union(*(line.box for line in lines[1:]))
    start = lines[0].start
    end = lines[-1].start + len(lines[-1].text) if start >= 0 else -1
    shown = printed if len(printed) <= _MOST_SHOWN else f"{printed[: _MOST_SHOWN - 1]}…"
    return Evidence(index, box, shown, similarity, score, start=start, end=end)
