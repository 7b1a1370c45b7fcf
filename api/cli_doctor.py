"""`docloop doctor`: what is wrong, and how to mend it."""

import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from api.cli_settings import load_settings

_FAILED = 1
_SIGNS = {"ok": "[green]ok[/]", "warn": "[yellow]warn[/]", "fail": "[red]fail[/]"}


def doctor(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Only what is not right.")] = False,
) -> None:
    """Look at the installation: what is wrong, and how to mend it. Changes and starts nothing.

    Exit status 0: nothing is broken (there may be warnings); 1: something is.

    For example:

        docloop doctor

        docloop doctor --quiet
    """
    from api.doctor import Health, examine

    findings = [
        finding
        for finding in examine(load_settings())
        if not (quiet and finding.health is Health.OK)
    ]
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in findings], indent=1))
    else:
        table = Table("", "part", "found", "to mend it", box=None, pad_edge=False)
        for found in findings:
            sign = _SIGNS[found.health]
            table.add_row(sign, found.what, escape(found.said), escape(found.mend))
        Console().print(table)
    if any(finding.health is Health.FAIL for finding in findings):
        raise typer.Exit(_FAILED)
