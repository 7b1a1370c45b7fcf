"""The serving sentence: bytes -> pages -> lines -> prompt -> engine -> record -> checks, evidence.

`Extractor.extract` reads as that sentence; each step is one function of one file. What a step
costs is measured here and goes into the response, the log and the metrics under the step's name.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import cast

from extraction.answer import answer_tokens, grammar_of
from extraction.confidence import Calibration, calibrated_as
from extraction.document_types.base import DocumentType
from extraction.document_types.catalogue import BUILT_IN
from extraction.document_types.document import is_document
from extraction.document_types.graph import is_graph
from extraction.document_types.passport import PASSPORT
from extraction.engine import Completion, Engine, Prompt, Sampling
from extraction.entity_tokens import write_entity_tokens
from extraction.errors import EngineUnavailable, ModelCannotSee
from extraction.evidence import EvidenceFinder
from extraction.fields import Judged, read_fields
from extraction.grounding import copied
from extraction.lines import Line, LineReader
from extraction.markdown.extraction import extraction_of
from extraction.markdown.parse import PageParser
from extraction.media import PDF, media_type
from extraction.nesting import nested
from extraction.page_view import ShownPages
from extraction.pages import Page, load_pages
from extraction.plain_text import read_text, text_lines
from extraction.printed_values import printed_only, with_own_dates
from extraction.prompt import AnswerFormat, Asked, build_prompt, fits, layout_of, prompt_hash
from extraction.reading import NoType, Reading, Source, answerable
from extraction.record import ParsedAnswer, normalise_record, parse_record
from extraction.request import (
    NOT_ASKED,
    UNKNOWN_TYPE,
    Extraction,
    ExtractRequest,
    Readers,
)
from extraction.stages import Stages
from extraction.traits import ModelTraits
from extraction.verdicts import find_zone, verdicts_on
from extraction.versions import KnownVersion, KnownVersions, ManyVersions
from extraction.zone import as_sure_as_read, with_zone

__all__ = [
    "NOT_ASKED",
    "UNKNOWN_TYPE",
    "ExtractRequest",
    "Extraction",
    "Extractor",
    "Readers",
]

_PDF_SLOTS = 2  # each is a child process of up to `PageLimits.pdf_memory_bytes`


class Extractor:
    """Turns documents into records.

    Args:
        engine: answers the prompts.
        readers: everything else that reads.
        ocr_slots: how many documents are decoded and read at a time; each uses the OCR's threads.
    """

    def __init__(self, engine: Engine, readers: Readers, *, ocr_slots: int = 1) -> None:
        self._engine = engine
        self.readers = readers
        self.versions = KnownVersions(KnownVersion(readers.traits, readers.calibration))
        self._slots = asyncio.Semaphore(ocr_slots)
        # A PDF may draw for as long as its limit allows; images and lines do not wait behind it.
        self._pdf_slots = asyncio.Semaphore(_PDF_SLOTS)

    async def decode(self, content: bytes) -> list[Page]:
        """The pages of a file; raises `UnreadableDocument` and its kinds. Runs on a thread."""
        is_pdf = bool(content) and media_type(content) == PDF
        async with self._pdf_slots if is_pdf else self._slots:
            return await asyncio.to_thread(load_pages, content, self.readers.page_limits)

    def add_version(self, traits: ModelTraits, calibration: Calibration) -> None:
        """A version that the engine has, or is about to have, can be asked by its name."""
        self.versions.add(KnownVersion(traits, calibration))

    def use_version(self, version: str) -> None:
        """From now on it is the one that is asked by default; raises `KeyError` for an unknown."""
        self.versions.use(version)

    def drop_version(self, version: str) -> None:
        """Forget a version; answers of it that are under way are still read by its facts."""
        self.versions.drop(version)

    async def extract(
        self,
        request: ExtractRequest,
        pages: Sequence[Page] | None = None,
        *,
        lines: Sequence[Line] | None = None,
        version: str | None = None,
    ) -> Extraction:
        """The record of one document.

        Args:
            request: the document and what is wanted of it.
            pages: the document's pages where the caller has decoded it already.
            lines: what was read on the pages where that is known already; no page is read again.
            version: the version to ask; None for the one in use.

        Raises:
            UnreadableDocument: the bytes are no document.
            UnknownField: a wanted field is none of the type's.
            ModelCannotSee: no lines may be used, and the model cannot look at the page.
            PromptTooLong, EngineUnavailable, UnparseableRecord: see `errors.py`.
        """
        if request.is_text and lines is None:
            pages, lines = (), text_lines(read_text(request.content))
        if request.document_type is not None:
            request.document_type.select(request.fields)  # refuses before anything is spent
        can_read = self.readers.lines is not None or lines is not None
        if not (request.use_lines and can_read) and not self._asked(version).traits.sees_images:
            raise ModelCannotSee
        stages = Stages()
        with stages.timed("decode"):
            pages = pages if pages is not None else await self.decode(request.content)
        with stages.timed("lines"):
            lines = list(lines) if lines is not None else await self._read_lines(request, pages)
        asked = self._asked(version)  # another one, where a swap came while the page was read
        source = Source(request, pages, lines, can_read)
        if request.document_type is not None and is_document(request.document_type):
            return await self._document(source, version, stages)
        if not source.with_ocr:
            with stages.timed("lines"):
                source = replace(source, own_lines=await self._read_itself(pages, asked))
        with stages.timed("prompt"):
            reading = await asyncio.to_thread(self._begin, source, asked)
        if isinstance(reading, NoType):
            return self._unknown(reading, source, asked, stages)
        completion = None
        if reading.prompt is not None:
            sampling = self._sampling(reading.asked, asked.traits)
            completion = await self._ask(reading.prompt, sampling, version)
            stages.add("queue", completion.queue_seconds or 0.0)
            stages.add("engine", completion.total_seconds - (completion.queue_seconds or 0.0))
        answered = (self.versions.find(completion.model) if completion else None) or asked
        return await asyncio.to_thread(self._record_of, reading, completion, answered, stages)

    async def _document(self, source: Source, version: str | None, stages: Stages) -> Extraction:
        """Whole pages as Markdown, each asked for by itself."""
        request, known = source.request, self._asked(version)
        wanted = cast("DocumentType", request.document_type).select(request.fields)
        asked = Asked(wanted, reasoning=request.reasoning, style=known.traits.style)
        reader = self.readers.lines
        parser = PageParser(
            ask=partial(self._ask, version=version),
            read=None if reader is None else self._read_page,
            asked=asked,
            traits=known.traits,
            use_lines=request.use_lines,
            max_characters=self.readers.max_characters,
        )
        with stages.timed("engine"):
            readings = await parser.parse(source.pages, source.lines)
        answered = next((r.completion.model for r in readings if r.completion), known.name)
        used = self.versions.find(answered) or known
        with stages.timed("checks"):
            found = await asyncio.to_thread(extraction_of, readings, asked, used, answered)
        return replace(found, timings_seconds=stages.seconds, pages=tuple(source.pages))

    async def _read_page(self, page: Page) -> list[Line]:
        reader = cast("LineReader", self.readers.lines)
        async with self._slots:
            return await asyncio.to_thread(reader.read, page)

    async def _ask(
        self, prompt: Prompt, sampling: Sampling, version: str | None = None
    ) -> Completion:
        if version is None:
            return await self._engine.generate(prompt, sampling)
        # Versions are added by who has such an engine.
        return await cast("ManyVersions", self._engine).generate(prompt, sampling, version=version)

    def _asked(self, version: str | None) -> KnownVersion:
        if version is None:
            return self.versions.used
        known = self.versions.find(version)
        if known is None:
            raise EngineUnavailable(f"the version {version} is not loaded")
        return known

    async def _read_lines(self, request: ExtractRequest, pages: Sequence[Page]) -> list[Line]:
        reader = self.readers.lines
        if reader is None or not (request.use_lines or request.document_type is None):
            return []
        return [line for page in pages for line in await self._read_page(page)]

    async def _read_itself(self, pages: Sequence[Page], version: KnownVersion) -> list[Line] | None:
        """What the default model's own tower reads; None where a version looks at pages."""
        reader = self.readers.tower
        if reader is None or not version.traits.pages.stretched:
            return None
        read: list[Line] = []
        for page in pages:
            async with self._slots:
                read += await asyncio.to_thread(reader.read, page)
        return read

    def _begin(self, source: Source, version: KnownVersion) -> Reading | NoType:
        """Lines -> type -> what is asked -> zone, prompt. Takes a while: a thread's work."""
        request, lines = source.request, source.lines or source.own_lines or ()
        document_type, sure = request.document_type, 1.0
        if document_type is None:
            decision = self.readers.classifier.decide(lines)
            document_type = BUILT_IN.get(decision.name)
            # Without a reader nothing was looked at, so nothing is sure.
            sure = decision.confidence if source.was_read else 0.0
        if document_type is None:
            return NoType(sure)
        wanted = document_type.select(request.fields)
        asked = Asked(
            answerable(wanted, request.answer_format),
            request.answer_format,
            reasoning=request.reasoning,
            style=version.traits.style,
            layout=version.traits.layout,
        )
        shown = source.lines if source.with_ocr else source.own_lines or ()
        lines = shown or lines
        zone = find_zone(wanted, lines)
        warnings: tuple[str, ...] = ()
        if len(asked.document_type.fields) < len(wanted.fields):
            warnings += ("nested-fields-left-out",)
        if is_graph(wanted) and not version.traits.writes(wanted.name):
            warnings += ("type-not-trained",)
        prompt = None
        if not shown and (source.own_lines is not None or not version.traits.sees_images):
            warnings += ("no-text",)
        elif any(field.asked for field in asked.document_type.fields):
            prompt, more = self._prompt(asked, source.pages, shown, version.traits)
            warnings += more
        return Reading(source, wanted, asked, lines, sure, zone, prompt, warnings)

    def _prompt(
        self, asked: Asked, pages: Sequence[Page], lines: Sequence[Line], traits: ModelTraits
    ) -> tuple[Prompt, tuple[str, ...]]:
        """The prompt with the pages that are shown as images; none for a model that cannot see."""
        warnings: tuple[str, ...] = ()
        shown = ShownPages()
        if traits.sees_images:
            shown = traits.pages.show(pages, self.readers.max_images, alone=not lines)
            if len(pages) > len(shown.images) and not lines:
                warnings += ("pages-left-out",)
        most = self.readers.max_characters
        if not fits(lines, most, layout_of(asked)):
            warnings += ("lines-left-out",)
        return build_prompt(asked, lines, shown=shown, max_characters=most), warnings

    def _sampling(self, asked: Asked, traits: ModelTraits) -> Sampling:
        grammar = grammar_of(asked, traits.special_tokens)
        return Sampling(max_tokens=answer_tokens(asked), grammar=grammar)

    def _unknown(
        self, reading: NoType, source: Source, version: KnownVersion, stages: Stages
    ) -> Extraction:
        warnings = ("unknown-document-type",)
        return Extraction(
            document_type=UNKNOWN_TYPE,
            document_type_version=0,
            type_confidence=reading.sure,
            record={},
            fields={},
            checks=(),
            warnings=warnings if source.lines or source.own_lines else (*warnings, "no-text"),
            reasoning=None,
            entity_tokens=None,
            schema_valid=True,
            model_version=version.name,
            prompt_hash="",
            finish_reason=NOT_ASKED,
            prompt_tokens=0,
            completion_tokens=0,
            timings_seconds=stages.seconds,
            pages=tuple(source.pages),
            lines=tuple(source.lines),
        )

    def _record_of(
        self,
        reading: Reading,
        completion: Completion | None,
        version: KnownVersion,
        stages: Stages,
    ) -> Extraction:
        """Completion -> record -> checks, confidence, evidence, as the answering version is."""
        with stages.timed("checks"):
            asked, wanted = reading.asked, reading.wanted
            parsed = parse_record(completion, asked) if completion else ParsedAnswer((), None)
            finder = EvidenceFinder(reading.lines)
            places = dict.fromkeys(leaf.path for leaf in parsed.leaves) | finder.find_all(
                (leaf.path, leaf.raw, leaf.spec)
                for leaf in parsed.leaves
                if not is_graph(wanted)
                or leaf.path.endswith(".text")  # ids and types stand nowhere
            )
            # What names of receipts are corrected to says nothing of a text's own words.
            traits = replace(version.traits, capitals=False) if is_graph(wanted) else version.traits
            leaves, places = copied(parsed.leaves, places, finder, traits)
            if wanted.name == PASSPORT.name:
                leaves, places = with_own_dates(leaves, places, finder, reading.zone)
            texts = {leaf.path: leaf.raw for leaf in leaves}
            as_entities = asked.answer_format is AnswerFormat.ENTITY_TOKENS
            normalised = normalise_record(asked.document_type, texts, day_first=as_entities or None)
            checks = verdicts_on(
                asked.document_type, normalised.record, reading.zone, normalised.misfits
            )
            judged = Judged(normalised.values, places, checks)
            name = asked.document_type.name
            weights = calibrated_as(name, with_ocr=reading.source.with_ocr)
            fields = read_fields(weights, leaves, judged, completion, version.calibration)
            if reading.zone is not None:
                fields = with_zone(fields, reading.zone, wanted, reading.lines)
                if not reading.source.with_ocr:
                    fields = as_sure_as_read(fields)
            read = len(fields)
            if wanted.name == PASSPORT.name:
                fields = printed_only(fields, reading.lines, reading.zone, version.traits)
            record = nested(wanted, fields)
        warned = list(reading.warnings)
        if not parsed.complete:
            warned.append("answer-cut")
        if parsed.dropped:
            warned.append("graph-parts-dropped")
        if len(fields) < read:
            warned.append("unprinted-values-dropped")
        if reading.zone is not None and reading.zone.repairs:
            warned.append("mrz-repaired")
        return Extraction(
            document_type=name,
            document_type_version=asked.document_type.version,
            type_confidence=reading.sure,
            record=record,
            fields=fields,
            checks=tuple(checks),
            warnings=tuple(warned),
            reasoning=parsed.thought,
            entity_tokens=write_entity_tokens(wanted, record) if as_entities else None,
            schema_valid=parsed.complete and not normalised.misfits,
            model_version=completion.model if completion else version.name,
            prompt_hash=prompt_hash(asked),
            finish_reason=completion.finish_reason if completion else NOT_ASKED,
            prompt_tokens=completion.prompt_tokens if completion else 0,
            completion_tokens=completion.completion_tokens if completion else 0,
            timings_seconds=stages.seconds,
            pages=tuple(reading.source.pages),
            lines=tuple(reading.source.lines),
        )
