"""`docloop evaluate`: what the versions of a training run answer, asked as in service."""

import asyncio
import signal
import sys
from functools import partial
from typing import Annotated
from uuid import UUID

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from api.cli_settings import load_settings, open_sessions
from api.settings import Settings

_FAILED = 1
_INTERRUPTED = 130
_LOG = "evaluate.jsonl"


def evaluate(
    run: Annotated[UUID, typer.Option("--run", help="The training run.", show_default=False)],
    concurrency: Annotated[
        int, typer.Option(min=1, help="Documents under way at the same time.")
    ] = 8,
) -> None:
    """Answer the pending evaluations of a training run; `docloop train` calls this by itself.

    Each version of the run is served by a model server of its own, beside that of the service, and
    asked with the code that serves callers. Each answer is kept as it comes: a call after a kill
    answers what is left. A document that cannot be answered gets its error, which counts as an
    answer. With DOCLOOP_ENGINE_URLS those servers are asked, and versions reach them as adapters.

    For example:

        docloop evaluate --run 0197c0de-0000-7000-8000-000000000000
    """
    settings = load_settings()
    console = Console(stderr=True, highlight=False)
    try:
        asyncio.run(_evaluate(settings, run, concurrency, console))
    except (asyncio.CancelledError, KeyboardInterrupt):
        console.print("Interrupted. What is answered is kept; the same command goes on.")
        raise typer.Exit(_INTERRUPTED) from None


async def _evaluate(settings: Settings, run: UUID, concurrency: int, console: Console) -> None:
    from api.evaluate import Parts, evaluate_run
    from api.evaluate_engine import open_engine
    from api.logs import configure_logs
    from db.blobs import FolderBlobStore
    from db.queries.evaluations import pending
    from extraction.errors import DocloopError

    _end_in_order()
    configure_logs(
        level=settings.log_level,
        file=settings.data_dir / "log" / _LOG,
        stream=None,
        secrets=settings.secrets(),
    )
    async with open_sessions(settings) as sessions:
        async with sessions() as session:
            total = len(await pending(session, run))
        parts = Parts(
            settings=settings,
            sessions=sessions,
            blobs=FolderBlobStore(settings.data_dir / "blobs", settings.blob_key_bytes),
            open_engine=partial(open_engine, settings),
            concurrency=concurrency,
        )
        with _progress(console) as progress:
            task = progress.add_task("starting the engine", total=total)

            def show(version: str, count: int) -> None:
                progress.update(task, advance=count, description=escape(version))

            try:
                done = await evaluate_run(run, parts, show)
            except DocloopError as error:
                console.print(f"[red]{escape(str(error))}", soft_wrap=True)
                raise typer.Exit(_FAILED) from None
    for version, why in done.refused.items():
        console.print(f"[yellow]{escape(version)}[/]: {escape(why)}", soft_wrap=True)
    console.print(f"{done.answered} answered, {done.failed} of them with an error.")


def _end_in_order() -> None:
    """SIGTERM cancels the work, so that the engine is ended as with Ctrl-C."""
    task = asyncio.current_task()
    if task is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        # The subprocess of a training run writes to its log: no bar there, one line at the end.
        disable=not sys.stderr.isatty(),
    )
