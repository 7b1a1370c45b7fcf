"""Which side a correction goes to: learnt now, learnt before, held out, or left out."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from db.queries.learning import Learnable
from extraction.document_types.catalogue import as_asked
from extraction.document_types.document import is_document
from extraction.lines import Line
from extraction.traits import ModelTraits
from trainer.confirmed import Confirmed, confirmed_of, lines_of
from trainer.manifest import Dropped
from trainer.near_duplicates import cluster, figures_of
from trainer.profile import DataSection
from trainer.type_lookup import Types, type_key


@dataclass(frozen=True, slots=True)
class Usable:
    """A learnable that is of use.

    Attributes:
        learnable: it.
        confirmed: what a human answers for.
        cluster: position of the first document of its cluster of near-duplicates.
    """

    learnable: Learnable
    confirmed: Confirmed
    cluster: int


@dataclass(slots=True)
class Sides:
    """Learnables, each on its side, in the order of their corrections.

    Attributes:
        train: to be learnt.
        learnt: learnt by the champion already; replayed.
        holdout: judged by, never learnt.
        dropped: of no use, and why.
    """

    train: list[Usable] = field(default_factory=list)
    learnt: list[Usable] = field(default_factory=list)
    holdout: list[Usable] = field(default_factory=list)
    dropped: list[Dropped] = field(default_factory=list)

    def drop(self, learnable: Learnable, reason: str) -> None:
        """Leave it out."""
        self.dropped.append(Dropped(learnable.correction.id, learnable.document_id, reason))

    def hold_out(self, item: Usable, *, is_known: bool) -> None:
        """Judge by it, unless the champion has learnt from a document that looks like it."""
        if is_known:
            self.drop(item.learnable, "near-duplicate-of-trained")
        else:
            self.holdout.append(item)

    def learn(self, item: Usable, most: int) -> None:
        """Learn from it; the newest come first."""
        if len(self.train) < most:
            self.train.append(item)
        else:
            self.drop(item.learnable, "beyond-most-examples")


def sort(
    ordered: Sequence[Learnable],
    section: DataSection,
    types: Types,
    traits: ModelTraits,
    learnt: frozenset[UUID],
) -> Sides:
    """Each learnable to its side; of a cluster of near-duplicates all to the same one.

    Args:
        ordered: by correction.
        section: how alike near-duplicates are, and how many are learnt.
        types: the predictions' types.
        traits: of the champion: whether it sees pages.
        learnt: corrections that the champion has learnt from.
    """
    clusters = cluster(
        [item.perceptual_hash for item in ordered],
        [item.content_sha256 for item in ordered],
        section.near_duplicate_bits,
        [figures_of(lines_of(item.pages)) for item in ordered],
    )
    held_out = {c for item, c in zip(ordered, clusters, strict=True) if item.holdout}
    known = {
        c
        for item, c in zip(ordered, clusters, strict=True)
        if item.correction.id in learnt and not item.holdout
    }
    sides = Sides()
    seen: set[tuple[object, ...]] = set()
    # Newest first: of several words on the same question the last one counts.
    for item, number in zip(reversed(ordered), reversed(clusters), strict=True):
        usable = _usable(item, number, types, traits)
        if isinstance(usable, str):
            sides.drop(item, usable)
            continue
        question = _question(usable)
        if question in seen:
            sides.drop(item, "newer-correction")
        elif item.holdout:
            sides.hold_out(usable, is_known=number in known)
        elif number in held_out:
            sides.drop(item, "near-duplicate-of-holdout")
        elif item.correction.id in learnt:
            sides.learnt.append(usable)
        else:
            sides.learn(usable, section.most_examples)
        seen.add(question)
    for side in (sides.train, sides.learnt, sides.holdout, sides.dropped):
        side.reverse()
    return sides


def _question(item: Usable) -> tuple[object, ...]:
    """What is asked of which document; the holdout asks once for a type, whatever the fields."""
    learnable = item.learnable
    question = (learnable.document_id, learnable.prediction.document_type)
    return question if learnable.holdout else (*question, item.confirmed.fields)


def _usable(item: Learnable, number: int, types: Types, traits: ModelTraits) -> Usable | str:
    """The learnable with what is confirmed, or why nothing can be learnt from it."""
    document_type = types.get(type_key(item.prediction))
    if document_type is None:
        return "unknown-type"
    document_type = as_asked(document_type, item.prediction.options)
    confirmed = confirmed_of(item, document_type)
    if confirmed is None:
        return "nothing-confirmed"
    if is_document(document_type) and len(confirmed.reference.get("pages") or ()) != 1:
        return "several-pages"  # each is asked for by itself
    # Who reads lines with a tower of its own is not taught by them: they are half misread.
    reads_itself = traits.pages.stretched and not item.holdout
    if not shown_lines(item) and (reads_itself or not traits.sees_images):
        return "no-lines"
    return Usable(item, confirmed, number)


def shown_lines(item: Learnable) -> tuple[Line, ...]:
    """The lines that the request put into the prompt."""
    return lines_of(item.pages) if item.prediction.options.get("ocr", True) else ()
