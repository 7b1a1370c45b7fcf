"""The command `docloop`. A command imports what is heavy when it runs, so that help is instant."""

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from api import (
    cli_backup,
    cli_doctor,
    cli_erase,
    cli_evaluate,
    cli_extract,
    cli_keys,
    cli_models,
    cli_serve,
    cli_types,
)
from api.cli_plugins import PluggedGroup
from api.cli_settings import load_settings
from api.settings import Origin, explain, unknown_variables
from api.version import VERSION

app = typer.Typer(
    name="docloop",
    cls=PluggedGroup,
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    rich_markup_mode="markdown",
    help="""
Documents in, validated records out; corrections in, a better model out.

Start the service, then send it documents:

    docloop serve

    docloop extract receipt.jpg passport.png --type auto

Settings are DOCLOOP_* variables or lines of a .env file; `docloop config` shows them all.
""",
)
app.command("serve")(cli_serve.serve)
app.command("extract")(cli_extract.extract)
app.command("evaluate")(cli_evaluate.evaluate)
app.command("doctor")(cli_doctor.doctor)
app.command("backup")(cli_backup.backup)
app.command("restore")(cli_backup.restore)
app.command("erase")(cli_erase.erase)
app.add_typer(cli_keys.app, name="keys")
app.add_typer(cli_models.app, name="models")
app.add_typer(cli_types.app, name="types")


@app.command("config")
def config(
    *,
    describe: Annotated[
        bool, typer.Option("--describe", help="Say what each setting means.")
    ] = False,
    changed: Annotated[
        bool, typer.Option("--changed", help="Only what differs from the defaults.")
    ] = False,
) -> None:
    """Print the settings in force and where each came from; secrets are masked.

    For example:

        docloop config --changed

        DOCLOOP_PORT=9000 docloop config --describe
    """
    table = Table("setting", "value", "from", box=None, pad_edge=False)
    if describe:
        table.add_column("meaning")
    for row in explain(load_settings()):
        if not (changed and row.origin is Origin.DEFAULT):
            table.add_row(row.variable, row.value, row.origin, *([row.description] * describe))
    Console().print(table)
    for name in unknown_variables():
        Console(stderr=True).print(f"[yellow]{name} is set, and is no setting of docloop.")


@app.command("version")
def version() -> None:
    """Print the version."""
    typer.echo(VERSION)


if __name__ == "__main__":
    app()
