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
_MOST_SHOWN = 100
_TEXT_SUFFIXES = frozenset({".txt", ".md", ".text"})


def extract(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="FILE",
            exists=True,
            dir_okay=False,
            help="Images or PDF files; .txt and .md are sent as plain text.",
            show_default=False,
        ),
    ] = None,
    document_type: Annotated[
        str,
        typer.Option(
            "--type", "-t", help="receipt, passport, document, graph, one of your own, or auto."
        ),
    ] = "auto",
    text: Annotated[
        str | None, typer.Option("--text", help="A plain text in place of files.")
    ] = None,
    fields: Annotated[
        str | None, typer.Option(help="Only these top-level fields, separated by commas.")
    ] = None,
    entity_types: Annotated[
        str | None, typer.Option(help="Of a graph: types of entities, separated by commas.")
    ] = None,
    relation_types: Annotated[
        str | None, typer.Option(help="Of a graph: types of relations, separated by commas.")
    ] = None,
    *,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object a line, as the service answers.")
    ] = False,
    as_markdown: Annotated[
        bool, typer.Option("--markdown", help="Of a document: its Markdown and nothing else.")
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

        docloop extract report.pdf --type document --markdown > report.md

        docloop extract --text "Ada was born in London." --type graph --entity-types person,place
        --relation-types "born in"

        docloop extract passport.png --url https://docloop.example --key dl_...
    """
    console = Console(stderr=True)
    _check_together(files, text, document_type, as_json=as_json, as_markdown=as_markdown)
    sources = [Path("text")] if text is not None else list(files or ())
    form = {"document_type": document_type, "reasoning": str(reasoning).lower()}
    lists = {"fields": fields, "entity_types": entity_types, "relation_types": relation_types}
    form |= {name: given for name, given in lists.items() if given}
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
        task = progress.add_task("", total=len(sources))
        for file in sources:
            progress.update(task, description=escape(file.name))
            try:
                answer = client.ask("POST", "/extract", **_body(file, text, form))
            except (ServiceFault, OSError, UnicodeDecodeError) as error:
                failed += 1
                _print_fault(file, error, console, as_json=as_json)
            else:
                failed += answer.get("state") == "failed"
                if as_markdown and answer.get("markdown") is not None:
                    _print_markdown(file, answer, console)
                else:
                    _print_answer(file, answer, as_json=as_json)
            progress.advance(task)
    if failed:
        console.print(f"[red]{failed} of {len(sources)} failed.")
        raise typer.Exit(1)


def _check_together(
    files: list[Path] | None,
    text: str | None,
    document_type: str,
    *,
    as_json: bool,
    as_markdown: bool,
) -> None:
    """Options that exclude each other are refused before anything is sent."""
    if bool(files) == (text is not None):
        raise typer.BadParameter("give files, or --text with a plain text")
    if as_markdown and (as_json or document_type != "document"):
        raise typer.BadParameter("--markdown is for --type document, without --json")


def _body(file: Path, text: str | None, form: dict[str, str]) -> dict[str, Any]:
    """What is sent of one source: a file, or a text as a field of the form."""
    if text is None and file.suffix.lower() not in _TEXT_SUFFIXES:
        return {"files": {"file": (file.name, file.read_bytes())}, "data": form}
    content = file.read_text(encoding="utf-8") if text is None else text
    # Multipart as above: a text may be longer than what a URL-encoded form may hold.
    parts = {name: (None, value) for name, value in {**form, "text": content}.items()}
    return {"files": parts}


def _print_markdown(file: Path, answer: dict[str, Any], console: Console) -> None:
    typer.echo(answer["markdown"], nl=False)
    for warning in answer.get("warnings") or ():
        console.print(f"[yellow]{escape(file.name)}[/]: {escape(str(warning))}", highlight=False)


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
    table = Table("field", "value", "confidence", "place", "source", title=escape(title))
    table.title_justify = "left"
    for path, field in (answer.get("fields") or {}).items():
        evidence = field.get("evidence") or {}
        table.add_row(
            path,
            escape(_shown(field.get("value"))),
            _shade(field.get("confidence")),
            _place(evidence),
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


def _shown(value: Any) -> str:
    """A value in a cell: a page's text is cut, the whole of it is in --json and --markdown."""
    text = str(value)
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"


def _place(evidence: dict[str, Any]) -> str:
    """The number of the page, or where in a plain text."""
    if evidence.get("page") is not None:
        return str(evidence["page"] + 1)
    return f"{evidence['start']}-{evidence['end']}" if "start" in evidence else ""


def _shade(confidence: float | None) -> str:
    if confidence is None:
        return ""
    colour = "green" if confidence >= _SURE else "yellow" if confidence >= _UNSURE else "red"
    return f"[{colour}]{confidence:.2f}[/]"
