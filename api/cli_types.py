"""`docloop types`: document types of a running service, built in and your own."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from api.cli_client import Client, KeyOption, ServiceFault, UrlOption
from api.cli_settings import load_settings

app = typer.Typer(
    no_args_is_help=True,
    help="Document types: what can be read. Your own are JSON Schemas, in numbered versions.",
)


@app.command("list")
def show_all(url: UrlOption = None, key: KeyOption = None) -> None:
    """List the types that your key can use."""
    answer = _ask("GET", "/document-types", url, key)
    types = answer if isinstance(answer, list) else next(iter(answer.values()))
    table = Table("type", "version", "description", box=None)
    for kind in types:
        table.add_row(
            escape(str(kind.get("name"))),
            str(kind.get("version")),
            escape(str(kind.get("description") or "")),
        )
    Console().print(table)


@app.command("show")
def show(
    name: Annotated[str, typer.Argument(help="The type's name.")],
    url: UrlOption = None,
    key: KeyOption = None,
) -> None:
    """Print one type with its JSON Schema.

    For example:

        docloop types show receipt
    """
    typer.echo(json.dumps(_ask("GET", f"/document-types/{name}", url, key), indent=2))


@app.command("put")
def put(
    file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="A JSON Schema.", metavar="FILE")
    ],
    name: Annotated[
        str | None, typer.Option(help="The type's name; the file's name by default.")
    ] = None,
    url: UrlOption = None,
    key: KeyOption = None,
) -> None:
    """Add a type of your own, or its next version. It can be used at once.

    For example:

        docloop types put invoice.json

        docloop extract invoice.pdf --type invoice
    """
    try:
        schema = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise typer.BadParameter(f"{file} is no JSON: {error}") from None
    answer = _ask("PUT", f"/document-types/{name or file.stem}", url, key, json=schema)
    version = answer.get("version") if isinstance(answer, dict) else None
    typer.echo(f"{name or file.stem} version {version}")


def _ask(method: str, path: str, url: str | None, key: str | None, **request: Any) -> Any:
    with Client(load_settings(), url, key) as client:
        try:
            return client.ask(method, path, **request)
        except ServiceFault as error:
            Console(stderr=True).print(f"[red]{escape(error.detail)}", highlight=False)
            raise typer.Exit(1) from None
