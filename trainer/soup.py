"""Several adapters -> one: their exact average, their exact sum, and a smaller one where it grows.

    uniform_soup   mean of the deltas            (Wortsman et al. 2022, "Model soups")
    concatenate    weighted sum of the deltas    version = champion + soup
    reduce_rank    truncated SVD of the delta, layer by layer

A sum of products of factors is the product of the stacked factors:

    w1 B1 A1 + w2 B2 A2 = [w1 B1, w2 B2] [A1; A2]

so the average is exact, at the price of ranks that add up. That is what PEFT's
`add_weighted_adapter(combination_type="cat")` computes; it is done here on the files because then
no base model has to be loaded, ranks and scales may differ (PEFT's is off for rank-stabilised
adapters and returns silently where the name exists), and every result can be checked at once
against the deltas of its parts. The mean of the A's times the mean of the B's is *not* it.

Which ingredients go in is chosen in `trainer/soup_choice.py`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from extraction.errors import DocloopError
from trainer.adapters import Adapter, Factors, read_adapter, write_adapter

TOLERANCE = 1e-6  # largest difference of one weight


class SoupMismatch(DocloopError):
    """A combined adapter is not the sum of its parts; it must not be used.

    Args:
        layer: the first in which it differs.
        error: the largest difference of one weight there.
    """

    slug = "soup-mismatch"

    def __init__(self, layer: str, error: float) -> None:
        self.layer, self.error = layer, error
        super().__init__(f"The combined adapter differs by {error:.1e} in {layer}.")


@dataclass(frozen=True, slots=True)
class SoupReport:
    """What was written.

    Attributes:
        largest_error: largest difference of one weight between the adapter as it is on disk and the
            sum of its parts' deltas in float64: what the merged weights would differ by.
        rank: of the adapter.
    """

    largest_error: float
    rank: int


@dataclass(frozen=True, slots=True)
class Reduction:
    """What a lower rank cost.

    Attributes:
        rank: of the adapter that was written.
        relative_error: Frobenius norm of what is lost over that of the whole delta, all layers
            together; 0 where nothing had to be cut.
    """

    rank: int
    relative_error: float


def uniform_soup(adapters: Sequence[Path], out: Path, *, base: str | None = None) -> SoupReport:
    """Writes the average of the adapters' deltas as one adapter.

    Args:
        adapters: folders of the ingredients; ranks, scales and layers may differ.
        out: folder to write.
        base: name of the base model for the config; the first ingredient's where None.

    Raises:
        UnsupportedAdapter: an ingredient is not plain LoRA.
        SoupMismatch: the result is not the average to 1e-6.
        ValueError: there are no adapters.
    """
    return concatenate([(adapter, 1 / len(adapters)) for adapter in adapters], out, base=base)


def concatenate(
    parts: Sequence[tuple[Path, float]], out: Path, *, base: str | None = None
) -> SoupReport:
    """Writes the weighted sum of adapters' deltas as one adapter, whose rank is the sum of theirs.

    Args:
        parts: folder and weight of each; a version is its champion and its soup with weights 1.
        out: folder to write.
        base: name of the base model for the config; the first part's where None.

    Raises:
        UnsupportedAdapter: a part is not plain LoRA, or does not fit the others.
        SoupMismatch: the result is not the sum to 1e-6.
        ValueError: there are no parts.
    """
    if not parts:
        raise ValueError("a soup needs an ingredient")
    read = [(read_adapter(folder), weight) for folder, weight in parts]
    names = sorted({name for adapter, _ in read for name in adapter.layers})
    layers = {name: _stacked(name, read) for name in names}
    rank = write_adapter(layers, _likeness(read, names), out, base)
    return SoupReport(_largest_error(read_adapter(out), read, names), rank)


def rank_of(adapter: Path) -> int:
    """The rank of an adapter.

    Raises:
        UnsupportedAdapter: it is not plain LoRA.
    """
    return read_adapter(adapter).rank


def reduce_rank(adapter: Path, most_rank: int, out: Path) -> Reduction:
    """Writes the nearest adapter of at most this rank (Eckart & Young 1936), layer by layer.

    With B = Qb Rb and A^T = Qa Ra the singular values of B A are those of the small Rb Ra^T, so the
    full weight matrix is never made. The root of the singular values goes into either factor.

    Raises:
        UnsupportedAdapter: it is not plain LoRA.
    """
    read = read_adapter(adapter)
    if read.rank <= most_rank:
        return Reduction(write_adapter(read.layers, read.config, out), 0.0)
    layers = {}
    lost = whole = 0.0
    for name, factors in read.layers.items():
        up_base, up_small = torch.linalg.qr(factors.up.double())
        down_base, down_small = torch.linalg.qr(factors.down.double().T)
        left, values, right = torch.linalg.svd(up_small @ down_small.T, full_matrices=False)
        root = values[:most_rank].sqrt()
        layers[name] = Factors(
            (root[:, None] * (right[:most_rank] @ down_base.T)).float(),
            (up_base @ left[:, :most_rank] * root).float(),
        )
        lost += float(values[most_rank:].square().sum())
        whole += float(values.square().sum())
    rank = write_adapter(layers, read.config, out)
    return Reduction(rank, (lost / whole) ** 0.5 if whole else 0.0)


def _stacked(name: str, parts: Sequence[tuple[Adapter, float]]) -> Factors:
    having = [(part.layers[name], weight) for part, weight in parts if name in part.layers]
    return Factors(
        torch.cat([factors.down for factors, _ in having]),
        torch.cat([(factors.up.double() * weight).float() for factors, weight in having], dim=1),
    )


def _likeness(parts: Sequence[tuple[Adapter, float]], names: Sequence[str]) -> dict[str, Any]:
    """The first part's config; it names every layer where the parts do not target the same ones."""
    configs = [part.config for part, _ in parts]
    targets = [_targets(config) for config in configs]
    if all(target == targets[0] for target in targets):
        return dict(configs[0])
    return {**configs[0], "target_modules": list(names)}


def _targets(config: Mapping[str, Any]) -> Any:
    modules = config.get("target_modules")
    return sorted(modules) if isinstance(modules, list) else modules


def _largest_error(
    written: Adapter, parts: Sequence[tuple[Adapter, float]], names: Sequence[str]
) -> float:
    """Compares what is on disk with the sum of the parts' deltas, weight by weight, in float64."""
    largest = 0.0
    for name in names:
        difference = written.layers[name].delta()
        for part, weight in parts:
            if name in part.layers:
                difference -= weight * part.layers[name].delta()
        error = float(difference.abs().max())
        if not error <= TOLERANCE:  # also where it is not a number
            raise SoupMismatch(name, error)
        largest = max(largest, error)
    return largest
