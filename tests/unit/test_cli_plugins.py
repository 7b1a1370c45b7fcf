from importlib.metadata import EntryPoint

import pytest
import typer
from typer.testing import CliRunner

from api import cli_plugins
from api.cli import app

HERE = "tests.unit.test_cli_plugins"


def greet(name: str, *, loud: bool = False) -> None:
    """Say hello."""
    typer.echo(f"hello {name}{'!' * loud}")


def fail() -> None:
    """End badly."""
    raise typer.Exit(3)


many = typer.Typer()
many.command("one")(greet)
many.command("two")(fail)


@pytest.fixture(autouse=True)
def _plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {
        "greet": f"{HERE}:greet",
        "fail": f"{HERE}:fail",
        "many": f"{HERE}:many",
        "train": "docloop_no_such_package.commands:train",
        "worker": f"{HERE}:no_such_function",
        "serve": f"{HERE}:greet",
    }
    plugins = {name: EntryPoint(name, value, cli_plugins.GROUP) for name, value in found.items()}
    monkeypatch.setattr(cli_plugins, "_found", lambda: plugins)


def test_a_plugged_command_takes_its_own_arguments() -> None:
    result = CliRunner().invoke(app, ["greet", "ana", "--loud"])
    assert (result.exit_code, result.output) == (0, "hello ana!\n")
    assert CliRunner().invoke(app, ["fail"]).exit_code == 3
    assert CliRunner().invoke(app, ["greet"]).exit_code == 2


def test_a_group_of_commands_is_plugged_in_too() -> None:
    assert CliRunner().invoke(app, ["many", "one", "ben"]).output == "hello ben\n"


def test_all_are_listed_also_those_that_cannot_be_loaded() -> None:
    result = CliRunner().invoke(app, ["--help"])
    assert result.exit_code == 0
    for name in ("serve", "extract", "evaluate", "greet", "train", "worker"):
        assert name in result.output


@pytest.mark.parametrize(
    ("name", "why"), [("train", "docloop_no_such_package"), ("worker", "no_such_function")]
)
def test_what_cannot_be_loaded_says_so_only_when_it_is_called(name: str, why: str) -> None:
    result = CliRunner().invoke(app, [name, "--dry-run", "more"])
    assert result.exit_code == 1
    assert f"docloop {name} is not available here" in result.output
    assert why in result.output
    assert CliRunner().invoke(app, ["version"]).exit_code == 0


def test_no_plugin_takes_the_place_of_our_own() -> None:
    assert "Start everything" in CliRunner().invoke(app, ["serve", "--help"]).output


def test_an_unknown_command_is_unknown() -> None:
    result = CliRunner().invoke(app, ["nothing"])
    assert result.exit_code == 2
