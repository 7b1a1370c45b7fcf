"""`docloop extract`: documents to a running service, its records to stdout."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from api.cli_client import Client, KeyOption, ServiceFault, UrlOption
from api.cli_settings import load_settings

_UNSURE = 0.5
_SURE = 0.9


def extract(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE",
            exists=True,
            dir_okay=False,
            help="Images or PDF files.",
            show_default=False,
        ),
    ],
    document_type: Annotated[
        str, typer.Option("--type", "-t", help="receipt, passport, one of your own, or auto.")
    ] = "auto",
    fields: Annotated[
        str | None, typer.Option(help="Only these top-level fields, separated by commas.")
    ] = None,
    *,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object a line, as the service answers.")
    ] = False,
    reasoning: Annotated[
        bool, typer.Option("--reasoning", help="Let the model think before it answers.")
    ] = False,
    url: UrlOption = None,
    key: KeyOption = None,
) -> None:
    """Read documents and print their records: a table, or JSON with --json. Progress is on stderr.

    Ends with 1 when one of the files failed; the others are printed all the same.

    For example:

        docloop extract receipt.jpg

        docloop extract scans/*.pdf --type receipt --fields total,date --json > records.jsonl

        docloop extract passport.png --url https://docloop.example --key dl_...
    """
    console = Console(stderr=True)
    form = {"document_type": document_type, "reasoning": str(reasoning).lower()}
    if fields:
        form["fields"] = fields
    failed = 0
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with (
        Client(load_settings(), url, key) as client,
        Progress(*columns, console=console, transient=True) as progress,
    ):
        task = progress.add_task("", total=len(files))
        for file in files:
            progress.update(task, description=escape(file.name))
            try:
                answer = client.ask(
                    "POST", "/extract", files={"file": (file.name, file.read_bytes())}, data=form
                )
            except (ServiceFault, OSError) as error:
                failed += 1
                _print_fault(file, error, console, as_json=as_json)
            else:
                failed += answer.get("state") == "failed"
                _print_answer(file, answer, as_json=as_json)
            progress.advance(task)
    if failed:
        console.print(f"[red]{failed} of {len(files)} failed.")
        raise typer.Exit(1)


def _print_fault(file: Path, error: Exception, console: Console, *, as_json: bool) -> None:
    if as_json:
        problem = error.problem if isinstance(error, ServiceFault) else {"detail": str(error)}
        typer.echo(json.dumps({"file": str(file), "error": problem}, ensure_ascii=False))
    console.print(f"[red]{escape(file.name)}[/]: {escape(str(error))}", highlight=False)


def _print_answer(file: Path, answer: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"file": str(file), **answer}, ensure_ascii=False))
    else:
        Console().print(tabulate(file.name, answer))


def tabulate(name: str, answer: dict[str, Any]) -> Table:
    """One answer as a table: each field with its value, confidence, place and source."""
    sure = answer.get("document_type_confidence")
    title = f"{name}: {answer.get('document_type')}" + ("" if sure is None else f" ({sure:.2f})")
    table = Table("field", "value", "confidence", "page", "source", title=escape(title))
    table.title_justify = "left"
    for path, field in (answer.get("fields") or {}).items():
        evidence = field.get("evidence") or {}
        table.add_row(
            path,
            escape(str(field.get("value"))),
            _shade(field.get("confidence")),
            str(evidence["page"] + 1) if "page" in evidence else "",
            str(field.get("source") or ""),
        )
    notes = [
        f"{check['name']}: {check['detail']}"
        for check in answer.get("checks") or ()
        if check.get("verdict") == "fail"
    ]
    notes += [str(warning) for warning in answer.get("warnings") or ()]
    if answer.get("error"):
        notes.append(str(answer["error"].get("detail")))
    table.caption = escape("\n".join(notes)) or None
    table.caption_justify = "left"
    return table


def _shade(confidence: float | None) -> str:
    if confidence is None:
        return ""
    colour = "green" if confidence >= _SURE else "yellow" if confidence >= _UNSURE else "red"
    return f"[{colour}]{confidence:.2f}[/]"
