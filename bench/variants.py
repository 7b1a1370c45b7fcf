"""What each part of a model is worth: the same documents to the model as it is, and without a part.

    python bench/variants.py [--model build/model] [--variants as-is,no-image,no-lines,adapter,int8]
        [--sroie FOLDER] [--passports FOLDER] [--travel 300] [--hard] [--out build/variants]

Each variant is served by a service of its own, from a new database, and asked as
`bench/accuracy.py` asks; `adapter` is the same model as an adapter beside its base, not merged into
it. Only a model that sees has an image to leave out, and only one that sees answers without lines;
the others are refused by name. OUT/variants.json grows with every task that
is done, and what it has is not measured again, so that a stopped run goes on; it belongs to one
model and is refused for another. At the end a table in Markdown and OUT/variants.png are written.
"""

import argparse
import asyncio
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from accuracy import measure
from accuracy_client import few_at_once
from adapter_form import VERSION, take_apart
from rich.console import Console
from running_service import RunningService, wait_served
from variants_plot import plot_variants, table_of

from extraction.model_folder import ADAPTER
from extraction.traits import CARD, ModelTraits
from trainer.quantised import quantise

VARIANTS = ("as-is", "no-image", "no-lines", "adapter", "int8")
_PROMOTED_SECONDS = 600
_NEEDS_SIGHT = frozenset({"no-image", "no-lines"})
console = Console(stderr=True)


class NotMeasurable(Exception):
    """A variant that this model cannot be, or a file that belongs to another model."""


def traits_of(model: Path) -> ModelTraits:
    """What the model's card says.

    Raises:
        NotMeasurable: it has none.
    """
    traits = ModelTraits.load(model)
    if traits is None:
        raise NotMeasurable(f"{model} has no {CARD}: name the folder of a version")
    return traits


def variant_folder(model: Path, variant: str, out: Path) -> Path:
    """The folder that is served for a variant.

    Args:
        model: a merged version's folder.
        variant: one of `VARIANTS`.
        out: where a changed copy may be written.

    Raises:
        NotMeasurable: the model does not see, and the variant leaves out what it sees or all else.
    """
    if variant in _NEEDS_SIGHT and not traits_of(model).sees_images:
        raise NotMeasurable(f"{model} does not see: it has no variant {variant}")
    if variant == "no-image":
        shutil.copytree(model, out)
        card = json.loads((out / CARD).read_text())
        (out / CARD).write_text(json.dumps({**card, "sees_images": False}))
        return out
    if variant == "adapter":
        return take_apart(model, out)[0].folder
    if variant == "int8":
        quantise(model, out)
        return out
    return model


def tasks_of(arguments: argparse.Namespace) -> Iterator[argparse.Namespace]:
    """What `accuracy.measure` is asked, one task after the other."""
    shared = {"split": None, "count": 0, "ocr": "on"}
    if arguments.sroie:
        own = {"task": "sroie", "folder": arguments.sroie, "split": arguments.split}
        yield argparse.Namespace(**{**shared, **own})
    if arguments.passports:
        yield argparse.Namespace(**{**shared, "task": "mrz", "folder": arguments.passports})
    if arguments.travel:
        folder = arguments.out / f"travel-{arguments.travel}"
        own = {"task": "travel", "folder": folder, "count": arguments.travel}
        yield argparse.Namespace(**{**shared, **own})
    if arguments.hard:
        yield argparse.Namespace(**{**shared, "task": "hard", "folder": arguments.out / "hard"})


async def measure_variant(
    variant: str,
    arguments: argparse.Namespace,
    known: Mapping[str, Any],
    keep: Callable[[str, dict[str, Any]], None],
) -> None:
    """Serves one variant and asks it what is not known yet.

    Args:
        variant: one of `VARIANTS`.
        arguments: of the command line.
        known: results by task.
        keep: is told each new result.

    Raises:
        NotMeasurable: see `variant_folder`.
    """
    left = [task for task in tasks_of(arguments) if task.task not in known]
    if not left:
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = variant_folder(arguments.model.resolve(), variant, Path(scratch) / "model")
        adapts = _adapts(folder.with_name(VERSION)) if variant == "adapter" else {}
        service = RunningService(Path(scratch) / "data", folder, adapts)
        service.start()
        try:
            ready = await service.wait_ready(600)
            console.print(f"{variant}: ready after {ready:.0f} s")
            if adapts:
                await promote(service, folder.with_name(VERSION))
            async with service.client(600) as client:
                send = few_at_once(client, arguments.concurrency)
                for task in left:
                    task.ocr = "off" if variant == "no-lines" else "on"
                    result = await measure(task, send)
                    keep(task.task, {name: v for name, v in result.items() if name != "rows"})
                    console.print(f"{variant}, {task.task}: {result['seconds']} s")
        finally:
            service.stop()


def _adapts(version: Path) -> dict[str, str]:
    """Settings of a service that takes this adapter: room for a higher rank costs time."""
    rank = json.loads((version / ADAPTER / "adapter_config.json").read_text())["r"]
    return {
        "DOCLOOP_ENGINE_ADAPTERS": "true",
        "DOCLOOP_ENGINE_MAX_ADAPTER_RANK": str(rank),
    }


async def promote(service: RunningService, folder: Path) -> None:
    """Makes the version of a folder the champion, and waits until it is served.

    Raises:
        RuntimeError: it was not, or not in ten minutes.
    """
    version = traits_of(folder).version
    await asyncio.to_thread(service.command, "models", "register", str(folder))
    await asyncio.to_thread(service.command, "models", "promote", version)
    async with service.client() as client:
        await wait_served(client, version, _PROMOTED_SECONDS)


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """All variants; the content of `variants.json`.

    Raises:
        NotMeasurable: the file there is of another model, or no chosen variant can be measured.
    """
    file: Path = arguments.out / "variants.json"
    arguments.out.mkdir(parents=True, exist_ok=True)
    version = traits_of(arguments.model).version
    found: dict[str, Any] = {"model": version, "variants": {}}
    if file.exists():
        found = json.loads(file.read_text())
        if found["model"] != version:
            raise NotMeasurable(f"{file} is of {found['model']}: name another --out for {version}")
    refused = []
    for variant in arguments.variants:
        results = found["variants"].setdefault(variant, {})

        def keep(task: str, result: dict[str, Any], results: dict[str, Any] = results) -> None:
            results[task] = result
            file.write_text(json.dumps(found, indent=1) + "\n")

        try:
            asyncio.run(measure_variant(variant, arguments, results, keep))
        except NotMeasurable as error:
            console.print(f"[yellow]{error}[/yellow]")
            refused.append(str(error))
            del found["variants"][variant]
    if not found["variants"]:
        raise NotMeasurable("; ".join(refused))
    return found


def main() -> int:
    """Parses the command line; 1 where nothing could be measured."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--model", type=Path, default=Path("build/model"))
    parser.add_argument("--variants", default=",".join(VARIANTS), help="some of them")
    parser.add_argument("--sroie", type=Path, help="folder of receipts.jsonl and its images")
    parser.add_argument("--split", default="400-499", help="positions of its receipts")
    parser.add_argument("--passports", type=Path, help="folder of specimens.jsonl")
    parser.add_argument("--travel", type=int, default=0, help="generated documents; none by itself")
    parser.add_argument("--hard", action="store_true", help="photographs and odd pages as well")
    parser.add_argument("--concurrency", type=int, default=4)
    parser.add_argument("--out", type=Path, default=Path("build/variants"))
    arguments = parser.parse_args()
    arguments.variants = arguments.variants.split(",")
    unknown = sorted(set(arguments.variants) - set(VARIANTS))
    if unknown:
        parser.error(f"no such variant: {', '.join(unknown)}; there are {', '.join(VARIANTS)}")
    if not list(tasks_of(arguments)):
        parser.error("name what is asked: --sroie, --passports, --travel or --hard")
    try:
        found = run(arguments)
    except NotMeasurable as error:
        console.print(f"[red]{error}[/red]")
        return 1
    table = table_of(found["variants"])
    (arguments.out / "variants.md").write_text(table + "\n")
    plot_variants(found, arguments.out / "variants")
    print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
