"""`docloop serve`: the whole service in one process and its children, each step visible."""

import contextlib
import os
import shutil
import signal
import socket
import sys
import time
from functools import partial
from pathlib import Path
from typing import Annotated

import psutil
import typer
from rich.console import Console
from rich.markup import escape

from api.cli_settings import load_settings
from api.readiness import Part, PartState, Progress
from api.settings import Settings

_FAILED = 1
_KEEP_ALIVE_SECONDS = 65
_MARKS = {Progress.READY: "[green]ready[/]", Progress.FAILED: "[red]failed[/]"}


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.")] = None,
) -> None:
    """Start everything: database, migrations, first key, model, API. Ctrl-C stops all of it.

    The database and the files live in DOCLOOP_DATA_DIR (var/), and a second start reuses them. The
    API answers at once; `/readyz` says what it still waits for. The log is JSON lines in
    var/log/docloop.jsonl, the model server's own log is beside it.

    For example:

        docloop serve

        DOCLOOP_API_KEY=dl_my-own-long-key docloop serve --port 9000

        DATABASE_URL=postgresql://docloop@db/docloop docloop serve
    """
    settings = load_settings()
    changes = {"host": host, "port": port}
    settings = settings.model_copy(update={k: v for k, v in changes.items() if v is not None})
    console = Console(stderr=True, highlight=False)
    _check(settings, console)
    _run(settings, console)


class Announcer:
    """Prints each step of the start, and in the end where the service is and how to try it.

    Args:
        settings: for the address.
        console: where to print; never the log, for the first key is shown here.
    """

    def __init__(self, settings: Settings, console: Console) -> None:
        self._console = console
        # From the very beginning: what Python needs to load is part of what a user waits for.
        self._began = psutil.Process().create_time()
        self._address = f"http://{_shown_host(settings.host)}:{settings.port}"
        self._key = "" if settings.api_key is None else "$DOCLOOP_API_KEY"
        self._generated = False
        self._ready: set[Part] = set()
        self._welcomed = False

    def first_key(self, secret: str) -> None:
        """The generated key; kept until it is printed."""
        self._key, self._generated = secret, True

    def progress(self, state: PartState) -> None:
        """One line for one change of one part."""
        seconds = time.time() - self._began
        mark = _MARKS.get(state.progress, "[dim]...[/]  ")
        reason = f"  {escape(state.reason)}" if state.reason else ""
        self._console.print(
            f"[dim]{seconds:6.1f} s[/]  {mark} {state.part.value}{reason}", soft_wrap=True
        )
        if state.ready:
            self._ready.add(state.part)
        else:
            self._ready.discard(state.part)
        if not self._welcomed and self._ready == set(Part):
            self._welcomed = True
            self._welcome(seconds)

    def _welcome(self, seconds: float) -> None:
        print_ = partial(self._console.print, soft_wrap=True)  # a key is copied whole
        key = self._key or "YOUR_KEY"
        print_(f"\n[bold green]Docloop is ready[/] after {seconds:.0f} s.\n")
        if self._generated:
            print_(f"  your key         [bold]{escape(key)}[/]  (shown only this once: keep it)")
        elif not self._key:
            another = f"{_program()} keys create NAME"
            print_(f"  your key         made at an earlier start; another: {another}")
        print_(f"  review page      {self._address}/  (sign in with the key)")
        print_(f"  HTTP reference   {self._address}/docs")
        print_("  stop             Ctrl-C; what was stored stays\n")
        print_("Upload a document on the review page, or from a second terminal:\n")
        # One line that can be copied: no wrapping, no markup.
        self._console.out(
            f'  curl -H "Authorization: Bearer {key}" -F file=@receipt.jpg '
            f"-F document_type=auto {self._address}/extract\n",
            highlight=False,
        )
        self._key, self._generated = "", False

    def farewell(self) -> None:
        """A key that was made and not shown yet must not get lost: no later start shows it."""
        if self._generated:
            shown = f"Your key, shown only this once: [bold]{escape(self._key)}[/]"
            self._console.print(shown, soft_wrap=True)


def _check(settings: Settings, console: Console) -> None:
    """What can be said before anything starts."""
    from api.model_source import find_traits

    if not settings.engine_urls and not (settings.model_dir / "config.json").is_file():
        console.print(
            f"[red]There is no model in {settings.model_dir}.[/] Run `make assemble`, or point "
            "DOCLOOP_MODEL_DIR to a model folder."
        )
        raise typer.Exit(_FAILED)
    if find_traits(settings) is None:
        console.print(
            "[red]The served model has no name.[/] Set DOCLOOP_MODEL_VERSION: the name that stands "
            "in every prediction (and that remote servers serve it under)."
        )
        raise typer.Exit(_FAILED)
    with socket.socket(_family(settings.host)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            console.print(
                f"[red]Cannot listen on {settings.host}:{settings.port}[/]: {error.strerror}. "
                "Is it running already? Choose another with --port."
            )
            raise typer.Exit(_FAILED) from None


def _run(settings: Settings, console: Console) -> None:
    import uvicorn

    from api.app import create_app
    from api.logs import configure_logs

    settings.data_dir.mkdir(parents=True, exist_ok=True)
    log_file = settings.log_file or settings.data_dir / "log" / "docloop.jsonl"
    configure_logs(
        level=settings.log_level,
        file=log_file,
        stream=sys.stdout if settings.log_stdout else None,
        secrets=settings.secrets(),
    )
    announcer = Announcer(settings, console)
    console.print(
        f"[dim]data in {settings.data_dir}, log in {log_file}, model in {settings.model_dir}[/]",
        soft_wrap=True,
    )
    app = create_app(settings, on_progress=announcer.progress, on_first_key=announcer.first_key)
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            host=settings.host,
            port=settings.port,
            # Bounds a request's head to 64 KB and reads it strictly; httptools does neither.
            http="h11",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=round(settings.shutdown_seconds),
        )
    )
    # The server ends in order on either signal, then raises it again for whoever was there before:
    # that is this handler, and by then everything has stopped. Before the server runs, it makes it
    # end as soon as it begins.
    signal.signal(signal.SIGTERM, lambda *_: setattr(server, "should_exit", True))
    with contextlib.suppress(KeyboardInterrupt):
        server.run()
    announcer.farewell()
    console.print("[dim]Everything has stopped.[/]")
    if not server.started:
        raise typer.Exit(_FAILED)


def _program() -> str:
    """This command as it can be typed here: its path where it is not on the PATH."""
    own = Path(sys.argv[0])
    if own.name != "docloop" or shutil.which("docloop"):
        return "docloop"
    return os.path.relpath(own)


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _shown_host(host: str) -> str:
    """What a client on this machine puts into an address."""
    if host in {"0.0.0.0", "::"}:  # noqa: S104 - compared, not bound
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host
