"""`python -m trainer.default_model assemble|see|install|train`: put the default model together.

`assemble` merges what ships in `models/default` into the base model and is what a user needs. `see`
trains it further or anew, from pages that are drawn on the way and from real receipts; `install`
ships what came out. `train` makes an adapter that reads through lines alone, which `see` can begin
from. The model card says how long each takes.
"""

import logging
import random
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from extraction.tower_reader import TOWER
from trainer.default_model.assemble import assemble, install_seeing, version_of
from trainer.default_model.sight import WEIGHTS
from trainer.stage import read_lines

if TYPE_CHECKING:
    from trainer.default_model.vision.plan import Curriculum
    from trainer.default_model.vision.read_characters import ReadPage

_STAGES = ("places", "bands", "fields")
SHIPPED = Path("models/default")
_LEARNED = 400  # of the real receipts; the others are for measuring
app = typer.Typer(help=__doc__, no_args_is_help=True)


@app.command("assemble")
def assemble_command(
    folder: Annotated[Path, typer.Option(help="Where the served model goes.")] = Path(
        "build/model"
    ),
    adapter: Annotated[Path, typer.Option(help="The adapter to merge.")] = SHIPPED,
) -> None:
    """Merge the adapter into the base model; does nothing where that is already done."""
    # It tells a new user to install what a hub would serve and nothing here asks for.
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    version = assemble(adapter, folder)
    typer.echo(f"{folder} holds {version}")


@app.command("train")
def train_command(
    sroie: Annotated[Path, typer.Option(help="Folder with receipts.jsonl and images.")],
    work: Annotated[Path, typer.Option(help="Checkpoints and cached lines.")] = Path(
        "build/default"
    ),
    threads: Annotated[int, typer.Option(help="CPU threads.")] = 2,
    sroie_count: Annotated[int, typer.Option(help="Examples from real receipts.")] = 1000,
    receipt_count: Annotated[int, typer.Option(help="Generated receipts.")] = 360,
    passport_count: Annotated[int, typer.Option(help="Generated passports.")] = 300,
    seed: Annotated[int, typer.Option(help="Of the data and of the run.")] = 17,
) -> None:
    """Train an adapter for lines alone; a run that was stopped goes on from its newest checkpoint.

    It lies in the work folder's `run/adapter`. To train a model that sees from nothing, name that
    folder as `adapter` in the curriculum's `[bands]`.
    """
    from trainer.default_model.dataset import Mix, build_examples, generate
    from trainer.default_model.sroie import read_receipts
    from trainer.default_model.train import Recipe, train

    mix = Mix(sroie=sroie_count, receipts=receipt_count, passports=passport_count)
    receipts = read_receipts(
        sroie, work / "sroie-lines.jsonl", split=range(_LEARNED), threads=threads
    )
    generated = generate(mix, work / "generated.jsonl", seed=seed, threads=threads)
    examples = build_examples(mix, receipts, generated, random.Random(seed))
    typer.echo(train(examples, Recipe(seed=seed, threads=threads), work / "run"))


@app.command("see")
def see_command(
    work: Annotated[Path, typer.Option(help="Checkpoints, TensorBoard logs, pictures.")] = Path(
        "build/see"
    ),
    curriculum: Annotated[Path | None, typer.Option(help="A TOML as the shipped one.")] = None,
    stage: Annotated[str, typer.Option(help="places, bands, fields, or all.")] = "all",
    sroie: Annotated[
        Path | None,
        typer.Option(
            help="Folder with receipts.jsonl and images; without it `places` draws everything."
        ),
    ] = None,
    lines: Annotated[Path, typer.Option(help="What our OCR read on these receipts.")] = Path(
        "build/default/sroie-lines.jsonl"
    ),
) -> None:
    """Train tower, connector and adapter; stopped, it goes on from the newest checkpoint.

    What comes out lies in the work folder's `fields` until `install` ships it.
    """
    from trainer.default_model.vision.plan import CURRICULUM, load_curriculum

    if stage not in {*_STAGES, "all"}:
        raise typer.BadParameter(", ".join((*_STAGES, "all")), param_hint="--stage")
    wanted = _STAGES if stage == "all" else (stage,)
    if sroie is None and wanted != ("places",):
        raise typer.BadParameter("names the real receipts", param_hint="--sroie")
    plan = load_curriculum(curriculum or CURRICULUM)
    if "places" in wanted:
        from trainer.default_model.vision.places import train_places

        train_places(
            plan.places,
            seed=plan.seed,
            threads=plan.threads,
            out=work / "places",
            pages=_pages(plan, work, sroie),
        )
    for name in wanted:
        if sroie is not None and name != "places":
            _train_answers(name, plan, work, _rows(plan, work, sroie, lines))


def _train_answers(stage: str, plan: "Curriculum", work: Path, rows: tuple[Path, Path]) -> None:
    from trainer.default_model.vision.answers import train_answers

    section = plan.bands if stage == "bands" else plan.fields
    train_answers(
        section,
        seed=plan.seed,
        threads=plan.threads,
        rows=rows,
        start=Path(section.adapter) if section.adapter else adapter_before(stage, work),
        before=Path(plan.bands.adapter) if plan.bands.adapter else SHIPPED,
        tower=sight_of(work / "places"),
        sight=plan.documents.sight,
        out=work / stage,
    )


def adapter_before(stage: str, work: Path) -> Path:
    """The folder of the adapter that a stage goes on from: the stage before's, or what ships."""
    from trainer.policy import ADAPTER

    before = work / _STAGES[_STAGES.index(stage) - 1] / ADAPTER
    return before if before.exists() else SHIPPED


def sight_of(places: Path) -> Path:
    """The file of tower and connector that is held still later: the folder's, or what ships."""
    own = places / WEIGHTS
    return own if own.exists() else SHIPPED / TOWER / WEIGHTS


def _pages(plan: "Curriculum", work: Path, sroie: Path | None) -> "list[ReadPage]":
    from trainer.default_model.vision.read_characters import draw_pages, read_pages

    if sroie is None:
        return []
    files = draw_pages(plan.places.generated, work / "generated", plan.seed)
    files += [sroie / row["image"] for row in read_lines(sroie / "receipts.jsonl")[:_LEARNED]]
    return read_pages(files, work / "characters.jsonl", threads=plan.threads)


def _rows(plan: "Curriculum", work: Path, sroie: Path, lines: Path) -> tuple[Path, Path]:
    from trainer.default_model.sroie import read_receipts
    from trainer.default_model.vision.field_rows import write_rows

    receipts = read_receipts(sroie, lines, split=range(_LEARNED), threads=plan.threads)
    return write_rows(plan.documents, receipts, work / "rows", seed=plan.seed, threads=plan.threads)


@app.command("install")
def install_command(
    work: Annotated[Path, typer.Option(help="Where `see` worked.")] = Path("build/see"),
    shipped: Annotated[Path, typer.Option(help="Where the model ships.")] = SHIPPED,
) -> None:
    """Ship the model that `see` trained in place of the one that ships."""
    install_seeing(work / "fields", shipped)
    typer.echo(f"{shipped} holds {version_of(shipped)}")


if __name__ == "__main__":
    app()
