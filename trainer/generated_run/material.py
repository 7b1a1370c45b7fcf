"""What a run on generated documents learns from, chooses by and is judged on."""

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from extraction.errors import DocloopError
from extraction.traits import ModelTraits
from trainer.stage import EXAMPLES
from trainer.synth.pages.training_rows import (
    has_texts,
    page_rows,
    read_texts,
    text_rows,
    write_examples,
)

CHAMPION = "champion"
"""Names the model that a run starts from, without any of its adapters."""
CLAIM = "run.json"
"""What a run is told, in its folder; written when it begins."""

Part = Literal["sft", "grpo", "selection", "holdout"]
PARTS: tuple[Part, ...] = ("sft", "grpo", "selection", "holdout")
_CHARACTERS_PER_TOKEN = 3


class TooFewRows(DocloopError):
    """A folder of generated documents has not enough of them.

    Args:
        folder: it.
        found: documents that are short enough.
        wanted: documents of all parts.
    """

    slug = "too-few-generated-documents"

    def __init__(self, folder: Path, found: int, wanted: int) -> None:
        self.folder, self.found, self.wanted = str(folder), found, wanted
        super().__init__(
            f"{folder} has {found} documents that are short enough, and {wanted} are asked for: "
            "generate more, ask for fewer, or allow longer ones."
        )


@dataclass(frozen=True, slots=True)
class Wanted:
    """How many documents go where; no document is in two parts.

    Attributes:
        sft: to be learned from.
        grpo: to be practised on.
        selection: the ingredients of the soup are chosen by them.
        holdout: nothing is chosen by them; the report's figures.
        most_tokens: documents of longer prompts or answers are left out; three characters count as
            a token.
    """

    sft: int
    grpo: int
    selection: int
    holdout: int
    most_tokens: int

    @property
    def all(self) -> int:
        """Of all parts."""
        return self.sft + self.grpo + self.selection + self.holdout


def gather(
    source: Path,
    kind: Literal["document", "graph"],
    traits: ModelTraits,
    wanted: Wanted,
    *,
    seed: int,
    out: Path,
) -> dict[Part, Path]:
    """Splits a folder's documents, in an order that the seed decides, and writes each part's rows.

    Args:
        source: of `docloop synth pages`, `convert` or `pseudo-label`; for graphs `texts` as well.
        kind: the document type.
        traits: of the model that is trained.
        wanted: how many, how long.
        seed: of the order.
        out: gets a folder a part, with `examples.jsonl`.

    Returns:
        The file of each part.

    Raises:
        TooFewRows: there are not so many.
        NoShards: the folder has neither pages nor texts.
    """
    paths = {part: out / part / EXAMPLES for part in PARTS}
    if all(path.is_file() for path in paths.values()):
        return paths
    rows = list(_short(_rows(source, kind, traits), wanted.most_tokens))
    if len(rows) < wanted.all:
        raise TooFewRows(source, len(rows), wanted.all)
    random.Random(f"{seed}/parts").shuffle(rows)
    for part, some in _split(rows, wanted):
        write_examples(some, out / part)
    return paths


def _rows(
    source: Path, kind: Literal["document", "graph"], traits: ModelTraits
) -> Iterator[dict[str, Any]]:
    if kind == "graph" and has_texts(source):
        yield from text_rows(read_texts(source), traits)
    else:
        yield from page_rows(source, traits, kind, complete_only=True)


def _short(rows: Iterable[dict[str, Any]], most_tokens: int) -> Iterator[dict[str, Any]]:
    most = most_tokens * _CHARACTERS_PER_TOKEN
    for row in rows:
        if max(_length(row["prompt"]), _length(row["completion"])) <= most:
            yield row


def _length(messages: Sequence[Mapping[str, Any]]) -> int:
    return sum(len(str(message["content"])) for message in messages)


def _split(
    rows: Sequence[dict[str, Any]], wanted: Wanted
) -> Iterator[tuple[Part, Sequence[dict[str, Any]]]]:
    begin = 0
    for part in PARTS:
        count = getattr(wanted, part)
        yield part, rows[begin : begin + count]
        begin += count
