"""PDFs -> pages whose kept regions are what a model and an expert say alike.

    pages -> experts -> the model's Markdown -> agreement -> kept regions -> tests -> shard

A page has `complete` in its facts where every region was kept: only then does its Markdown say all
that is on it, and only such pages should be answers to learn by heart. The tests of the others hold
too, because each asks for something that was kept.
"""

import hashlib
import io
import json
import random
from collections import Counter
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from PIL import Image

from extraction.errors import UnparseableRecord, UnreadableDocument
from extraction.lines import LineReader
from extraction.markdown.front_matter import KEYS, TEXT, read_page
from trainer.synth.pages.contact_sheet import contact_sheet
from trainer.synth.pages.generate import checked
from trainer.synth.pages.page_tests import page_tests
from trainer.synth.pages.pieces import Piece
from trainer.synth.pages.series import CONTACT
from trainer.synth.pages.shards import MANIFEST, StoredPage, shard_path, write_shard
from trainer.synth.pseudo_labels.agreement import (
    Region,
    agreement_of_experts,
    judge,
    letters_of,
)
from trainer.synth.pseudo_labels.experts import OCR, ReadPage, read_pages
from trainer.synth.pseudo_labels.model_answers import Answers, Asked

if TYPE_CHECKING:
    from trainer.progress import Stage

STYLE = "pseudo-label"

_LONGEST_PIXELS = 1288
_SAMPLE = 24


@dataclass(frozen=True, slots=True)
class Labelling:
    """What is to be labelled.

    Attributes:
        pdfs: in order.
        folder: for the shards.
        answers: where the model's Markdown comes from.
        least_agreement: of a region that is kept, 0 to 1.
        least_kept: share of a page's letters in kept regions, 0 to 1; other pages are left out.
        ocr: whether OCR reads the pages; without it the text layer is the only expert.
        shard_size: pages a shard.
    """

    pdfs: list[Path]
    folder: Path
    answers: Answers
    least_agreement: float = 0.9
    least_kept: float = 0.6
    ocr: bool = True
    shard_size: int = 100


@dataclass
class LabellingOutcome:
    """What came of it."""

    pages: int = 0
    complete: int = 0
    regions: int = 0
    kept: int = 0
    agreement: list[float] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)

    def as_rows(self) -> dict[str, str]:
        """For a table."""
        share = f" ({self.kept / self.regions:.0%})" if self.regions else ""
        mean = f"{fmean(self.agreement):.3f}" if self.agreement else ""
        return {
            "pages": f"{self.pages}, {self.complete} of them complete",
            "regions kept": f"{self.kept} of {self.regions}{share}",
            "mean agreement of kept regions": mean,
            "left out": ", ".join(f"{why} {n}" for why, n in self.left_out.most_common()),
        }


async def label_pages(job: Labelling, stage: "Stage | None" = None) -> LabellingOutcome:
    """Labels the pages and writes shards, manifest and contact sheet.

    Raises:
        EndpointFailed: the model cannot be asked.
    """
    outcome, pages = LabellingOutcome(), []
    reader = LineReader(1) if job.ocr else None
    job.folder.mkdir(parents=True, exist_ok=True)
    endpoint = job.answers.endpoint(job.folder / "answers")
    if stage is not None:
        stage.update(0, max(1, len(job.pdfs)))
    async with endpoint or nullcontext():
        ask = job.answers.from_endpoint(endpoint) if endpoint else job.answers.from_files()
        for pdf in job.pdfs:
            try:
                read = read_pages(pdf.read_bytes(), reader)
            except UnreadableDocument as error:
                outcome.left_out[f"PDF not read: {error.why}"] += 1
                continue
            for number, page in enumerate(read, start=1):
                picture = _jpeg(page.image)
                answer = await ask(Asked(pdf, number, picture))
                result = label(answer, page, picture, f"{pdf.stem}_pg{number}", job, outcome)
                if isinstance(result, str):
                    outcome.left_out[result] += 1
                else:
                    pages.append(result)
            if stage is not None:
                stage.advance()
    _write(job, pages, outcome)
    return outcome


def label(
    answer: str | None,
    page: ReadPage,
    picture: bytes,
    name: str,
    job: Labelling,
    outcome: LabellingOutcome,
) -> StoredPage | str:
    """One page with what is kept of it; why it is left out where it is."""
    if answer is None:
        return "no answer of the model"
    if not page.experts:
        return "no expert read anything"
    facts, text = _split(answer)
    regions = judge(text, page.experts, job.least_agreement)
    total = sum(len(letters_of(region.markdown)) for region in regions)
    agreed = sum(len(letters_of(region.markdown)) for region in regions if region.kept)
    outcome.regions += len(regions)
    outcome.kept += sum(region.kept for region in regions)
    outcome.agreement += [max(r.agreement.values()) for r in regions if r.kept and r.agreement]
    if not total or agreed / total < job.least_kept:
        return "too little agrees"
    kept = [region for region in regions if region.kept]
    record = {**facts, TEXT: "\n\n".join(region.markdown for region in kept)}
    safe = name.replace(".", "_")  # a dot would end the name in a shard
    tests, _ = checked(
        page_tests(
            [plain_piece(region.markdown) for region in kept],
            (),
            name=safe,
            rng=random.Random(f"label/{safe}"),
        ),
        str(record[TEXT]),
    )
    complete = len(kept) == len(regions)
    outcome.pages += 1
    outcome.complete += complete
    return StoredPage(
        name=safe,
        image=picture,
        record=record,
        tests=tests,
        lines=page.experts.get(OCR) or next(iter(page.experts.values())),
        graph=None,
        facts={
            "style": STYLE,
            "language": facts.get("primary_language"),
            "columns": 0,
            "degraded": False,
            "complete": complete,
            "kept_ratio": round(agreed / total, 4),
            "experts_agreement": agreement_of_experts(page.experts),
            "regions": [_facts(region) for region in regions],
        },
        extra={},
    )


def _split(answer: str) -> tuple[dict[str, Any], str]:
    """Facts of the front matter, where there is one, and the text."""
    try:
        parts = {part.name: part.text for part in read_page(answer)}
    except UnparseableRecord:
        return dict.fromkeys(KEYS), answer
    facts: dict[str, Any] = {}
    for key in KEYS:
        value = parts.get(key)
        truth = {"true": True, "false": False}.get((value or "").lower())
        number = int(value) if value is not None and value.isdigit() else None
        facts[key] = truth if truth is not None else number if number is not None else value
    return facts, parts.get(TEXT, "")


def plain_piece(markdown: str) -> Piece:
    """A block as a piece: tests ask for a plain paragraph's lines, and for nothing of any other."""
    plain = not any(sign in markdown for sign in ("<", "|", "\\(", "\\[", "$", "!["))
    runs = tuple(markdown.lstrip("#> ").splitlines()) if plain else ()
    return Piece("text", markdown, runs)


def _facts(region: Region) -> dict[str, Any]:
    return {
        "begins": region.markdown[:40],
        "kept": region.kept,
        "agreement": dict(region.agreement),
        "box": None if region.box is None else asdict(region.box),
    }


def _jpeg(image: Image.Image) -> bytes:
    small = image.convert("RGB")
    small.thumbnail((_LONGEST_PIXELS, _LONGEST_PIXELS), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def _write(job: Labelling, pages: list[StoredPage], outcome: LabellingOutcome) -> None:
    shards: list[dict[str, Any]] = []
    for number, start in enumerate(range(0, len(pages), job.shard_size)):
        path = shard_path(job.folder, number)
        part = pages[start : start + job.shard_size]
        digest = write_shard(path, part)
        shards.append({"file": path.name, "pages": len(part), "sha256": digest})
    if pages:
        tiles = [(page.image, page.name) for page in pages[:_SAMPLE]]
        contact_sheet(tiles).save(job.folder / CONTACT, quality=85)
    content = {
        "model": job.answers.name,
        "least_agreement": job.least_agreement,
        "least_kept": job.least_kept,
        "ocr": job.ocr,
        "sources": {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in job.pdfs},
        "pages": outcome.pages,
        "complete": outcome.complete,
        "regions": outcome.regions,
        "regions_kept": outcome.kept,
        "left_out": dict(outcome.left_out.most_common()),
        "shards": shards,
    }
    (job.folder / MANIFEST).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
