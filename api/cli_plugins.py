"""Commands that other packages add: the trainer's, without this package importing it.

An entry point of the group `docloop.commands` is a function or a Typer app. It is loaded when it is
listed or called. What cannot be loaded is listed all the same, and says why when it is called.
"""

from importlib.metadata import EntryPoint, entry_points
from typing import Any

import typer
from typer.core import TyperGroup

GROUP = "docloop.commands"

_FAILED = 1


class PluggedGroup(TyperGroup):
    """The commands of this package, and those of the entry points."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Names of all commands; those of this package come first."""
        own = list(super().list_commands(ctx))
        return own + sorted(set(_found()) - set(own))

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of this name; None where there is none."""
        command = super().get_command(ctx, cmd_name)
        if command is None and (plugin := _found().get(cmd_name)) is not None:
            return load(plugin)
        return command


def load(plugin: EntryPoint) -> Any:
    """The command behind an entry point; one that only says what is wrong where it is broken."""
    try:
        found = plugin.load()
    except Exception as error:  # noqa: BLE001 - whatever is wrong there, the others work
        return _unavailable(plugin.name, error)
    if isinstance(found, typer.Typer):
        return typer.main.get_command(found)
    return _as_command(plugin.name, found)


def _found() -> dict[str, EntryPoint]:
    return {plugin.name: plugin for plugin in entry_points(group=GROUP)}


def _as_command(name: str, function: Any, **settings: Any) -> Any:
    app = typer.Typer(
        add_completion=False, pretty_exceptions_show_locals=False, rich_markup_mode="markdown"
    )
    app.command(name, **settings)(function)
    return typer.main.get_command(app)


def _unavailable(name: str, error: Exception) -> Any:
    reason = str(error) or type(error).__name__

    def explain() -> None:
        typer.echo(
            f"docloop {name} is not available here: {reason}. Training needs the optional packages "
            "of the extra `train`; `make install` installs them.",
            err=True,
        )
        raise typer.Exit(_FAILED)

    explain.__doc__ = f"Not available here: {reason}."
    anything = {"ignore_unknown_options": True, "allow_extra_args": True}
    return _as_command(name, explain, context_settings=anything)
