"""A trained adapter becomes a version: a folder that can be served, named after its content."""

import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from extraction.model_folder import file_sha256
from extraction.tower_reader import TOWER
from trainer.default_model.assemble import ADAPTER_FILES, SERVING_FILES
from trainer.default_model.sight import is_sight
from trainer.policy import ADAPTER, CARD, base_of, load_foundation, read_card

# What training leaves as it is.
_TRAITS = ("style", "layout", "sees_images", "pages", "types", "special_tokens")


@dataclass(frozen=True, slots=True)
class WrittenVersion:
    """A version on disk.

    Attributes:
        version: its name.
        base: of the model that it is made from.
        folder: where it is.
        rank_error: relative error of the adapter where its rank had to be reduced, else 0.
    """

    version: str
    base: str
    folder: Path
    rank_error: float


def write_version(
    champion: Path,
    adapter: Path,
    versions: Path,
    *,
    form: Literal["merged", "adapter"],
    most_rank: int,
    run: str,
    capitals: bool | None,
    types: Sequence[str] | None = None,
    scratch: Path,
) -> WrittenVersion:
    """Champion + adapter as a new version; the same arguments give the same one.

    Args:
        champion: the folder of the version that the adapter was trained on.
        adapter: what was trained.
        versions: where versions are kept; the new one is written there as a whole or not at all.
        form: "merged" adds weights that can be served by themselves.
        most_rank: the adapter's rank is reduced to this where it is above.
        run: id of the training run.
        capitals: whether texts are answered in capitals now; None leaves it as it was.
        types: what the card says of types that it writes; None leaves it as it was.
        scratch: for what is put together on the way.

    Raises:
        NoTrainableModel: the champion has no card.
    """
    card = read_card(champion)
    total = scratch / "total"
    traits: dict[str, Any] = {name: card[name] for name in _TRAITS if name in card}
    # An adapter is served beside the weights that the engine holds: a merged champion's own.
    stacks = (champion / ADAPTER).is_dir() and (
        form == "merged" or card.get("form", "merged") == "adapter"
    )
    traits["base"] = card["base"] if stacks else card["version"]
    traits["base_folder"] = base_of(champion) if stacks else str(champion.resolve())
    traits["capitals"] = bool(card.get("capitals", False)) if capitals is None else capitals
    traits["form"] = form
    if types is not None:
        traits["types"] = sorted(types)
    parts = [(champion / ADAPTER, 1.0), (adapter, 1.0)] if stacks else [(adapter, 1.0)]
    rank_error = _add(parts, total, most_rank, scratch, traits["base"])
    version = _name(card, traits, total)
    folder = versions / version
    if (folder / CARD).is_file():
        return WrittenVersion(version, traits["base"], folder, rank_error)
    versions.mkdir(parents=True, exist_ok=True)
    partial = versions / f"{version}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(total, partial / ADAPTER)
    if form == "merged":
        _save_merged(traits, total, partial)
    if stacks and is_sight(champion / TOWER):
        shutil.copytree(champion / TOWER, partial / TOWER)
    for name in SERVING_FILES:
        if (champion / name).is_file():
            shutil.copyfile(champion / name, partial / name)
    files = {str(path.relative_to(partial)): file_sha256(path) for path in _files(partial)}
    content = {"version": version, **traits, "parent": card["version"], "run": run, "files": files}
    (partial / CARD).write_text(json.dumps(content, indent=1) + "\n")
    partial.rename(folder)
    return WrittenVersion(version, traits["base"], folder, rank_error)


def _add(
    parts: Sequence[tuple[Path, float]], total: Path, most_rank: int, scratch: Path, base: str
) -> float:
    """The sum of adapters, reduced where its rank is too high; answers the relative error."""
    from trainer.soup import concatenate, reduce_rank

    whole = scratch / "whole"
    concatenate(parts, whole, base=base)
    return reduce_rank(whole, most_rank, total).relative_error


def _save_merged(traits: dict[str, Any], adapter: Path, folder: Path) -> None:
    """Base and adapter as one checkpoint in bfloat16, merged in float32."""
    import torch
    from peft import PeftModel

    base, processor = load_foundation(
        traits["base_folder"], sees_images=bool(traits.get("sees_images", True))
    )
    model = PeftModel.from_pretrained(base, str(adapter)).merge_and_unload()
    model.to(torch.bfloat16).save_pretrained(folder)
    processor.save_pretrained(folder)


def _name(card: dict[str, Any], traits: dict[str, Any], adapter: Path) -> str:
    """The family's name and 12 hexadecimal digits of the SHA-256 over what decides the answers."""
    # Without the base's folder: the same model has the same name on every machine.
    telling = {name: value for name, value in traits.items() if name != "base_folder"}
    digest = hashlib.sha256(json.dumps(telling, sort_keys=True).encode())
    for name in ADAPTER_FILES:
        digest.update((adapter / name).read_bytes())
    family = str(card["version"]).rsplit("-", 1)[0]
    return f"{family}-{digest.hexdigest()[:12]}"


def _files(folder: Path) -> Iterator[Path]:
    yield from sorted(path for path in folder.rglob("*") if path.is_file())
