"""`docloop train` and `docloop worker`. What is heavy is imported when it is needed."""

import asyncio
import contextlib
import importlib.util
import logging
import os
import signal
import sys
from collections.abc import Coroutine
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from extraction.errors import DocloopError
from trainer.profile import InvalidProfile, Profile, load_profile
from trainer.settings import TrainerSettings

if TYPE_CHECKING:
    from trainer.attempt import Wish
    from trainer.run import CycleFolders

Sessions = async_sessionmaker[AsyncSession]

_CONFIGURATION_ERROR = 2
NEEDED = ("torch", "transformers", "trl", "peft", "datasets", "accelerate")
# Longer than a cycle gets to end in order (`trainer.child.STOP_SECONDS`).
_PATIENCE_SECONDS = 25.0
_BACK_OFF_SECONDS = (1.0, 2.0, 5.0, 10.0, 30.0)

logger = logging.getLogger("trainer.worker")

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    rich_markup_mode="markdown",
    help="Train the model on corrections.",
)

ProfileOption = Annotated[
    str | None,
    typer.Option(help="small, production, or the path of a TOML file; DOCLOOP_PROFILE otherwise."),
]


@app.command("train")
def train(
    *,
    profile: ProfileOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what a cycle would use, and train nothing.")
    ] = False,
    resume: Annotated[
        bool | None,
        typer.Option(
            "--resume/--new",
            help="Only take up the unfinished run, or only begin a new one. Otherwise: the "
            "unfinished one where there is one on this machine.",
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before it begins.")] = False,
) -> None:
    """Run one training cycle: examples, SFT, GRPO, soup, evaluation, gate, promotion.

    The service need not run; where it does, it serves on and takes the new model over. A cycle that
    is stopped goes on where it was with the next start. Exit status 0: the candidate was promoted,
    or rightly not. 1: a fault. 75: nothing was to be done now.

    For example:

        docloop train --dry-run

        docloop train --profile production --yes
    """
    from trainer.attempt import Wish

    console = Console(stderr=True, highlight=False)
    settings = _load_settings(console)
    chosen = _load_profile(profile or settings.profile, console)
    wish = Wish.EITHER if resume is None else Wish.RESUME if resume else Wish.NEW
    if not dry_run:
        _check_packages(console)
    ask = not yes and sys.stdin.isatty()
    if dry_run or ask:
        status = _run(_show_plan(settings, chosen), console)
        if dry_run or status or not typer.confirm("Begin?", default=True, err=True):
            raise typer.Exit(status)
    raise typer.Exit(_run(_train(settings, chosen, wish, console), console))


@app.command("worker")
def worker(
    *,
    profile: ProfileOption = None,
    metrics_port: Annotated[
        int | None,
        typer.Option(
            help="Port of the Prometheus metrics; 0: none. DOCLOOP_WORKER_METRICS_PORT otherwise.",
            min=0,
            max=65535,
        ),
    ] = None,
) -> None:
    """Run training cycles whenever enough corrections wait; Ctrl-C stops, a later start goes on.

    It also looks through new corrections for suspicious ones, and takes a new champion back that
    does worse than the one before. As many workers as you like may run, on several machines: one
    cycle runs at a time. What a cycle prints is in DOCLOOP_DATA_DIR/log/training.log.

    For example:

        docloop worker

        docloop worker --profile production --metrics-port 0
    """
    console = Console(stderr=True, highlight=False)
    settings = _load_settings(console)
    source = profile or settings.profile
    chosen = _load_profile(source, console)
    _check_packages(console)
    logging.basicConfig(
        format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr, level="INFO"
    )
    for chatty in ("procrastinate", "alembic", "psycopg.pool"):
        logging.getLogger(chatty).setLevel("ERROR")
    if metrics_port is not None:
        settings = settings.model_copy(update={"worker_metrics_port": metrics_port})
    raise typer.Exit(_run(_work(settings, chosen, source), console))


async def _show_plan(settings: TrainerSettings, profile: Profile) -> int:
    from db.opening import open_database
    from trainer.run import CycleFolders

    async with open_database(settings) as database:
        folders = CycleFolders.under(settings.data_dir, settings.model_dir)
        Console().print(await _plan(database.sessions, profile, folders))
    return 0


async def _plan(sessions: Sessions, profile: Profile, folders: "CycleFolders") -> Table:
    from db.queries.quarantine import count_held
    from db.queries.runs import unfinished_run
    from trainer.attempt import count_waiting
    from trainer.command_tables import Backlog, plan_table
    from trainer.cycle import plan_cycle

    await _screen(sessions, profile)
    plan = await plan_cycle(sessions, profile, folders)
    async with sessions() as session:
        waiting, unfinished = await count_waiting(session), await unfinished_run(session)
        backlog = Backlog(
            new_count=waiting.new_count,
            least_count=profile.data.least_examples,
            held_count=await count_held(session),
            unfinished=None if unfinished is None else unfinished.id,
        )
    return plan_table(plan, backlog)


async def _train(
    settings: TrainerSettings, profile: Profile, wish: "Wish", console: Console
) -> int:
    from db.blobs import FolderBlobStore
    from db.opening import open_database
    from trainer.attempt import attempt_cycle
    from trainer.command_tables import outcome_table
    from trainer.cycle import run_cycle
    from trainer.cycle_lock import CycleLock
    from trainer.erasing import forget_erased
    from trainer.launching import launcher_of
    from trainer.progress import StageProgress
    from trainer.run import CycleFolders

    async with open_database(settings) as database:
        folders = CycleFolders.under(settings.data_dir, settings.model_dir)
        lock = CycleLock(database.address, folders.training)
        await asyncio.to_thread(lock.__enter__)
        try:
            await _screen(database.sessions, profile)
            await forget_erased(database.sessions, folders.training)
            with StageProgress(console) as progress:
                outcome = await attempt_cycle(
                    database.sessions,
                    profile,
                    folders,
                    run_cycle=partial(
                        run_cycle,
                        blobs=FolderBlobStore(settings.data_dir / "blobs", settings.blob_key_bytes),
                        launcher=launcher_of(profile, settings.accelerate_file),
                    ),
                    progress=progress,
                    wish=wish,
                )
        finally:
            await asyncio.to_thread(lock.__exit__, None, None, None)
    Console().print(outcome_table(outcome))
    return 0


async def _screen(sessions: Sessions, profile: Profile) -> None:
    """Nothing is learnt from before the rules of the quarantine have looked at it."""
    from trainer.quarantine import screen_new

    async with sessions.begin() as session:
        report = await screen_new(session, profile)
    held = report.held_count + report.held_later_count
    if held:
        logger.warning("%d corrections wait for a second person: %s", held, dict(report.rules))


async def _work(settings: TrainerSettings, profile: Profile, source: str) -> int:
    from trainer.child import COMMAND, CycleProcess
    from trainer.erasing import ForgetErased
    from trainer.rollback import watch_new_champion
    from trainer.run import CycleFolders
    from trainer.worker import Training
    from trainer.worker_metrics import WorkerMetrics

    metrics = WorkerMetrics()
    folders = CycleFolders.under(settings.data_dir, settings.model_dir)
    cycle = CycleProcess(settings.data_dir / "log" / "training.log", profile.niceness)
    training = Training(
        start=lambda: cycle.run([*COMMAND, "--yes", "--profile", source]),
        running=lambda: cycle.running,
        folder=folders.training,
    )
    duties = {
        "screening": _screen,
        "watching the champion": watch_new_champion,
        "forgetting what was erased": ForgetErased(folders.training),
    }
    with metrics.served(settings.worker_metrics_host, settings.worker_metrics_port):
        try:
            await _keep_working(settings, profile, training, metrics, duties)
        finally:
            await asyncio.shield(cycle.stop())
    return 0


async def _keep_working(
    settings: TrainerSettings, profile: Profile, training: Any, metrics: Any, duties: Any
) -> None:
    """A worker, and another one each time that the database went away."""
    from db.opening import open_database
    from trainer.worker import Worker

    failed = 0
    while True:
        try:
            async with open_database(settings) as database:
                logger.info("looking for work every %g s", profile.schedule.poll_seconds)
                failed = 0
                await Worker(database, profile, training, metrics, duties).run()
        except Exception as error:  # noqa: BLE001 - whatever it was, a worker that rests is dead
            pause = _BACK_OFF_SECONDS[min(failed, len(_BACK_OFF_SECONDS) - 1)]
            failed += 1
            logger.warning("%s; trying again in %g s", type(error).__name__, pause)
            await asyncio.sleep(pause)


def _run(work: Coroutine[Any, Any, int], console: Console) -> int:
    """Runs a command's work to its exit status; SIGTERM and Ctrl-C end it in order."""
    from trainer.exit_status import STOPPED, status_of

    try:
        return asyncio.run(_until_told(work))
    except asyncio.CancelledError:
        console.print("Stopped; a later start goes on where it was.")
        return STOPPED
    except Exception as error:  # noqa: BLE001 - the edge: whatever it is becomes an exit status
        status, said = status_of(error)
        if not isinstance(error, DocloopError):
            console.print_exception(show_locals=False)
        console.print(f"[red]{escape(said)}[/]" if status == 1 else escape(said), soft_wrap=True)
        return status


async def _until_told(work: Coroutine[Any, Any, int]) -> int:
    """The work's result; a second signal does not wait for the end of what the first one ended."""
    from trainer.exit_status import STOPPED

    task = asyncio.ensure_future(work)
    told = asyncio.Event()

    def end() -> None:
        if told.is_set():
            os._exit(STOPPED)  # checkpoints are kept, and locks are the system's to free
        told.set()

    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, end)
    ending = asyncio.create_task(told.wait())
    await asyncio.wait({task, ending}, return_when=asyncio.FIRST_COMPLETED)
    ending.cancel()
    while not task.done():
        # More than once: before Python 3.12 `asyncio.wait_for` can lose a cancellation.
        task.cancel()
        await asyncio.wait({task}, timeout=_PATIENCE_SECONDS)
    return task.result()


def _load_settings(console: Console) -> TrainerSettings:
    try:
        return TrainerSettings()
    except ValidationError as error:
        for fault in error.errors(include_input=False, include_context=False, include_url=False):
            name = str(fault["loc"][0]) if fault["loc"] else "?"
            said = fault["msg"].removeprefix("Value error, ")
            console.print(f"[red]{escape(name)}[/]: {escape(said)}")
        raise typer.Exit(_CONFIGURATION_ERROR) from None


def _load_profile(source: str, console: Console) -> Profile:
    try:
        return load_profile(source)
    except InvalidProfile as error:
        console.print(f"[red]The profile {escape(error.source)} is not valid.[/]")
        for key, fault in error.faults.items():
            console.print(f"  {escape(key)}: {escape(fault)}")
        raise typer.Exit(_CONFIGURATION_ERROR) from None


def _check_packages(console: Console) -> None:
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        console.print(
            f"[red]The training packages are not installed[/] ({', '.join(missing)} missing). "
            "`make install` installs them; with pip it is the extra `train`."
        )
        raise typer.Exit(_CONFIGURATION_ERROR)


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        app()
