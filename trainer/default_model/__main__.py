"""`python -m trainer.default_model train|see|assemble`: make the default model, or put it together.

`assemble` merges the adapter that ships in `models/default` into the base model and is what a user
needs; `train` makes that adapter anew from the data (see the model card for how long it takes), and
`see` the vision tower from pages that are drawn on the way.
"""

import random
from pathlib import Path
from typing import Annotated

import typer

from trainer.default_model.assemble import assemble, install_adapter

SHIPPED = Path("models/default")
app = typer.Typer(help=__doc__, no_args_is_help=True)


@app.command("assemble")
def assemble_command(
    folder: Annotated[Path, typer.Option(help="Where the served model goes.")] = Path(
        "build/model"
    ),
    adapter: Annotated[Path, typer.Option(help="The adapter to merge.")] = SHIPPED,
) -> None:
    """Merge the adapter into the base model; does nothing where that is already done."""
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
    """Train the adapter; a run that was stopped continues from its newest checkpoint."""
    from trainer.default_model.dataset import Mix, build_examples, generate
    from trainer.default_model.sroie import read_receipts
    from trainer.default_model.train import Recipe, train

    mix = Mix(sroie=sroie_count, receipts=receipt_count, passports=passport_count)
    receipts = read_receipts(sroie, work / "sroie-lines.jsonl", split=range(400), threads=threads)
    generated = generate(mix, work / "generated.jsonl", seed=seed, threads=threads)
    examples = build_examples(mix, receipts, generated, random.Random(seed))
    adapter = train(examples, Recipe(seed=seed, threads=threads), work / "run")
    install_adapter(adapter, SHIPPED)


@app.command("see")
def see_command(
    work: Annotated[Path, typer.Option(help="Checkpoints, TensorBoard logs, pictures.")] = Path(
        "build/see"
    ),
    curriculum: Annotated[Path | None, typer.Option(help="A TOML as the shipped one.")] = None,
    stage: Annotated[str, typer.Option(help="patches, reading, or all.")] = "all",
) -> None:
    """Train the vision tower and its connector; stopped, it goes on from the newest checkpoint."""
    from trainer.default_model.vision.patches import train_patches
    from trainer.default_model.vision.plan import CURRICULUM, load_curriculum
    from trainer.default_model.vision.reading import train_reading

    if stage not in {"patches", "reading", "all"}:
        raise typer.BadParameter("patches, reading or all", param_hint="--stage")
    plan = load_curriculum(curriculum or CURRICULUM)
    tower = work / "patches" / "tower.pt"
    if stage != "reading":
        tower = train_patches(
            plan.patches, seed=plan.seed, threads=plan.threads, out=work / "patches"
        )
    if stage != "patches":
        train_reading(
            plan.reading, seed=plan.seed, threads=plan.threads, tower=tower, out=work / "reading"
        )


if __name__ == "__main__":
    app()
