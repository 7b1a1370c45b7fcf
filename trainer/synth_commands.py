"""`docloop synth`: synthetic pages with truth, conversions, pseudo-labels, and runs on them.

What is heavy is imported when it is needed.
"""

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from extraction.errors import DocloopError

_CONFIGURATION_ERROR = 2

app = typer.Typer(
    name="synth",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    rich_markup_mode="markdown",
    help="Make pages with their truth, to train on whole pages and graphs.",
)

OutOption = Annotated[Path, typer.Option(help="Folder for the shards.", file_okay=False)]
SeedOption = Annotated[int, typer.Option(help="Of the series; the same seed gives the same pages.")]
ShardOption = Annotated[int, typer.Option(help="Pages a shard.", min=1)]
PdfArgument = Annotated[list[Path], typer.Argument(help="PDFs, or folders of PDFs.", exists=True)]


@app.command("pages")
def pages(
    *,
    out: OutOption,
    count: Annotated[int, typer.Option(help="How many pages.", min=1)] = 1000,
    seed: SeedOption = 0,
    style: Annotated[
        list[str] | None,
        typer.Option(
            help="report, paper, invoice, form, magazine, medical, book, leaflet; repeatable."
        ),
    ] = None,
    language: Annotated[
        list[str] | None, typer.Option(help="de, en, es, fr, it, pt, ru; repeatable.")
    ] = None,
    longest_pixels: Annotated[
        int, typer.Option(help="Longer side of the images.", min=200, max=4000)
    ] = 1288,
    degraded: Annotated[
        float, typer.Option(help="Share of pages that look scanned.", min=0, max=1)
    ] = 0.3,
    turned: Annotated[
        float, typer.Option(help="Share of pages that lie on a side or head.", min=0, max=1)
    ] = 0.04,
    shard_size: ShardOption = 250,
    tabs: Annotated[int, typer.Option(help="Pages that are laid out at a time.", min=1)] = 2,
    pdf: Annotated[bool, typer.Option("--pdf", help="Keep the PDFs in the shards too.")] = False,
    unpacked: Annotated[
        Path | None,
        typer.Option(help="Also write plain files here: tests.jsonl, truth/, images/."),
    ] = None,
) -> None:
    """Make pages from templates: image, Markdown truth, unit tests, some with a graph.

    A run that is stopped goes on behind its last whole shard when it is started again.

    For example:

        docloop synth pages --out shards --count 1000 --seed 7

        docloop synth pages --out papers --count 200 --style paper --language en --pdf
    """
    from trainer.synth.pages.compose import STYLES
    from trainer.synth.pages.generate import PageWishes
    from trainer.synth.pages.series import Series, make_series
    from trainer.synth.pages.words_of import codes

    console = Console(stderr=True, highlight=False)
    _check(console, "style", style, tuple(STYLES))
    _check(console, "language", language, codes())
    wishes = PageWishes(
        styles=tuple(style or ()),
        languages=tuple(language or ()),
        longest_pixels=longest_pixels,
        degraded_share=degraded,
        turned_share=turned,
    )
    series = Series(out, count, seed, wishes, shard_size, tabs, pdf)

    async def work() -> None:
        from trainer.progress import StageProgress

        with StageProgress(console) as progress, progress.stage("pages", count) as stage:
            counts = await make_series(series, stage)
        Console().print(_series_table(counts, out))

    _run(work(), console)
    if unpacked is not None:
        from trainer.synth.pages.shards import read_shards, unpack

        unpack(read_shards(out), unpacked)


@app.command("texts")
def texts(
    *,
    out: OutOption,
    count: Annotated[int, typer.Option(help="How many texts.", min=1)] = 1000,
    seed: SeedOption = 0,
    language: Annotated[
        list[str] | None, typer.Option(help="de, en, es, fr, it, pt, ru; repeatable.")
    ] = None,
) -> None:
    """Make plain texts with the graph that they state, for the type `graph`.

    For example:

        docloop synth texts --out texts --count 500 --language en
    """
    from trainer.synth.pages.texts import make_text
    from trainer.synth.pages.training_rows import write_texts
    from trainer.synth.pages.words_of import codes

    console = Console(stderr=True, highlight=False)
    _check(console, "language", language, codes())
    chosen = tuple(language or ())
    path = write_texts((make_text(f"{seed}/{n}", chosen) for n in range(count)), out)
    Console().print(f"{count} texts in {escape(str(path))}")


@app.command("convert")
def convert(
    source: PdfArgument,
    *,
    out: OutOption,
    endpoint: Annotated[
        str | None, typer.Option(help="Of an OpenAI-compatible server; DOCLOOP_SYNTH_ENDPOINT.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Its model; DOCLOOP_SYNTH_MODEL.")] = None,
    budget: Annotated[
        int, typer.Option(help="Most tokens in all, asked and answered.", min=1)
    ] = 2_000_000,
    most_pages: Annotated[int, typer.Option(help="Most pages in all.", min=1)] = 1000,
    seed: SeedOption = 0,
    shard_size: ShardOption = 100,
) -> None:
    """Let a vision model rebuild real pages as HTML, in three steps, and take truth from that.

    Layout analysis, HTML, refinement against the rendering, as olmOCR 2 does. Answers are kept
    beside the shards, so a second run pays for nothing twice. The key is DOCLOOP_SYNTH_API_KEY.

    For example:

        docloop synth convert papers/ --out converted --endpoint http://localhost:8000/v1 --model m
    """
    from trainer.synth.convert.endpoint import EndpointSettings
    from trainer.synth.convert.run import Conversion, convert_pages

    console = Console(stderr=True, highlight=False)

    async def work() -> None:
        from trainer.progress import StageProgress

        settings = EndpointSettings.of(endpoint, model)
        job = Conversion(_pdfs(source), out, settings, budget, most_pages, seed, shard_size)
        with StageProgress(console) as progress, progress.stage("convert") as stage:
            outcome = await convert_pages(job, stage)
        Console().print(_outcome_table(outcome.as_rows(), out))

    _run(work(), console)


@app.command("pseudo-label")
def pseudo_label(
    source: PdfArgument,
    *,
    out: OutOption,
    answers: Annotated[
        Path | None,
        typer.Option(help="Folder of a model's Markdown, NAME_pgN_repeat1.md or NAME_pgN.md."),
    ] = None,
    endpoint: Annotated[
        str | None,
        typer.Option(help="Asks this OpenAI-compatible model instead; DOCLOOP_SYNTH_ENDPOINT."),
    ] = None,
    model: Annotated[str | None, typer.Option(help="Its model; DOCLOOP_SYNTH_MODEL.")] = None,
    least_agreement: Annotated[
        float, typer.Option(help="Of a region that is kept.", min=0, max=1)
    ] = 0.9,
    least_kept: Annotated[
        float, typer.Option(help="Least share of a page's text that agrees.", min=0, max=1)
    ] = 0.6,
    ocr: Annotated[bool, typer.Option("--ocr/--no-ocr", help="Read the pages with OCR.")] = True,
    shard_size: ShardOption = 100,
) -> None:
    """Keep what a model, the PDF's own text layer and OCR say alike of real pages.

    For example:

        docloop synth pseudo-label pdfs/ --answers outputs/ --out labelled
    """
    from trainer.synth.pseudo_labels.label import Labelling, label_pages

    console = Console(stderr=True, highlight=False)

    async def work() -> None:
        from trainer.progress import StageProgress
        from trainer.synth.pseudo_labels.model_answers import answers_from

        asks = answers_from(answers, endpoint, model)
        job = Labelling(_pdfs(source), out, asks, least_agreement, least_kept, ocr, shard_size)
        with StageProgress(console) as progress, progress.stage("pseudo-label") as stage:
            outcome = await label_pages(job, stage)
        Console().print(_outcome_table(outcome.as_rows(), out))

    _run(work(), console)


@app.command("train")
def train(
    source: Annotated[
        Path, typer.Argument(help="Folder of generated pages or texts.", exists=True)
    ],
    *,
    kind: Annotated[str, typer.Option("--type", help="document or graph.")],
    out: Annotated[Path, typer.Option(help="The run's folder.", file_okay=False)],
    model: Annotated[
        Path, typer.Option(help="The model to start from.", envvar="DOCLOOP_MODEL_DIR")
    ] = Path("build/model"),
    profile: Annotated[
        str, typer.Option(help="generated, production, or the path of a TOML file.")
    ] = "generated",
    sft: Annotated[int, typer.Option(help="Documents to learn from.", min=1)] = 120,
    grpo: Annotated[int, typer.Option(help="Documents to practise on.", min=2)] = 40,
    selection: Annotated[int, typer.Option(help="Documents to choose by.", min=1)] = 16,
    holdout: Annotated[int, typer.Option(help="Documents to report on.", min=1)] = 32,
    most_tokens: Annotated[
        int, typer.Option(help="Longer prompts and answers are left out.", min=50)
    ] = 500,
) -> None:
    """Teach a model whole pages or graphs: SFT, GRPO with several seeds, a soup, a report.

    The rewards are the pages' unit tests and the graphs' F1. The new version is a folder under
    OUT/versions; its card says that it writes the type. A run that is stopped goes on where it was.

    For example:

        docloop synth pages --out shards --count 220 --style leaflet --language en

        docloop synth train shards --type document --out runs/pages
    """
    console = Console(stderr=True, highlight=False)
    _check(console, "type", [kind], ("document", "graph"))

    async def work() -> None:
        from trainer.generated_run.material import Wanted
        from trainer.generated_run.run import GeneratedRun, train_generated
        from trainer.profile import load_profile

        wanted = Wanted(sft, grpo, selection, holdout, most_tokens)
        chosen: Literal["document", "graph"] = "graph" if kind == "graph" else "document"
        job = GeneratedRun(source, chosen, model, wanted, load_profile(profile), out.resolve())
        outcome = await train_generated(job, console)
        rows = {
            **{f"holdout, {name}": f"{mean:.3f}" for name, mean in outcome.rewards.items()},
            "chosen": outcome.chosen,
            "version": str(outcome.version or "none: the model as it was is best"),
            "report": str(outcome.report),
        }
        Console().print(_outcome_table(rows, out))

    _run(work(), console)


def _run(work: Coroutine[Any, Any, None], console: Console) -> None:
    try:
        asyncio.run(work)
    except (DocloopError, ValueError) as error:
        console.print(f"[red]{escape(str(error))}[/]", soft_wrap=True)
        raise typer.Exit(_CONFIGURATION_ERROR) from None
    except KeyboardInterrupt:
        console.print("Stopped; whole shards are kept, and a later start goes on behind them.")
        raise typer.Exit(130) from None


def _check(console: Console, name: str, given: list[str] | None, known: tuple[str, ...]) -> None:
    unknown = [value for value in given or () if value not in known]
    if unknown:
        listed = ", ".join(known)
        console.print(f"[red]No {name} {escape(', '.join(unknown))}[/]; there are {listed}.")
        raise typer.Exit(_CONFIGURATION_ERROR)


def _pdfs(sources: list[Path]) -> list[Path]:
    """The PDFs in the order of their names; those below a folder where it is one."""
    found: list[Path] = []
    for source in sources:
        found += sorted(source.rglob("*.pdf")) if source.is_dir() else [source]
    return found


def _series_table(counts: Any, out: Path) -> Table:
    rows = {
        "pages": str(counts.pages["all"]),
        "styles": _listed(counts.pages, "style "),
        "languages": _listed(counts.pages, "language "),
        "with a graph": str(counts.pages["with a graph"]),
        "tests": ", ".join(f"{kind} {n}" for kind, n in sorted(counts.tests.items())),
        "thrown away": ", ".join(f"{fault} {n}" for fault, n in counts.faults.most_common()),
        "tests dropped": str(counts.dropped.total()),
        "places left empty": str(len(counts.empty)),
    }
    return _outcome_table(rows, out)


def _listed(counts: Any, prefix: str) -> str:
    found = {k.removeprefix(prefix): n for k, n in sorted(counts.items()) if k.startswith(prefix)}
    return ", ".join(f"{name} {n}" for name, n in found.items())


def _outcome_table(rows: dict[str, str], out: Path) -> Table:
    table = Table("", "", box=None, pad_edge=False, show_header=False)
    table.columns[0].no_wrap = True
    for name, value in rows.items():
        table.add_row(name, escape(value or "none"))
    table.add_row("folder", escape(str(out)))
    return table
