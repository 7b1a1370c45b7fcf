"""`docloop models`: the versions that the database knows, and which one is served.

A change is written into the database and nowhere else: a service that runs follows it by itself.
"""

import asyncio
import json
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from api.cli_settings import load_settings, open_sessions
from api.settings import Settings
from db.queries.audit import record_event
from db.queries.models import (
    NewModel,
    get_champion,
    get_model,
    list_models,
    list_promotions,
    register_model,
)
from db.queries.runs import latest_decision
from db.tables import Champion, ModelVersion, Promotion, StoredDecision
from extraction.errors import DocloopError

if TYPE_CHECKING:
    from api.promotion import Promoter

app = typer.Typer(no_args_is_help=True, help="Model versions, and which one is the champion.")

T = TypeVar("T")
VersionArgument = Annotated[str, typer.Argument(help="A version; see `docloop models list`.")]
_ACTOR = "command line"


@app.command("list")
def show_all() -> None:
    """List model versions, newest first; the champion is the one to serve.

    For example:

        docloop models list
    """
    champion, models = _run(_read(load_settings()))
    table = Table("", "version", "base", "state", "made", "folder", box=None)
    table.columns[1].no_wrap = True
    marks = {
        champion.shadow_version_id: "shadow",
        champion.canary_version_id: f"canary {champion.canary_ratio:.0%}",
        champion.model_version_id: "[green]champion[/]",
    }
    for model in models:
        made = f"{model.created_at:%Y-%m-%d %H:%M}"
        table.add_row(marks.get(model.id, ""), model.id, model.base, model.state, made, model.path)
    Console().print(table)


@app.command("show")
def show(version: VersionArgument) -> None:
    """Print a version: where it comes from, the gate's word on it, when it was served.

    For example:

        docloop models show receipts-3fa91c02b7de
    """
    model, decision, promotions = _run(_read_one(load_settings(), version))
    console = Console(highlight=False)
    console.print(f"[bold]{model.id}[/]  {model.state}, made {model.created_at:%Y-%m-%d %H:%M}")
    console.print(f"base {model.base}, parent {model.parent_id or 'none'}")
    console.print(f"training run {model.training_run_id or 'none'}")
    console.print(f"folder {model.path or 'on the model servers'}", soft_wrap=True)
    if decision is not None:
        word = "[green]passed[/]" if decision.passed else "[red]not passed[/]"
        console.print(f"gate: {word}, against {decision.champion_id}")
        for reason in decision.reasons:
            console.print(f"  - {reason}", soft_wrap=True, markup=False)
    for promotion in promotions:
        at = f"{promotion.created_at:%Y-%m-%d %H:%M}"
        console.print(
            f"generation {promotion.generation}, {at}: {promotion.reason} by {promotion.actor}"
        )
    console.print_json(json.dumps(model.manifest))


@app.command("register")
def register(
    folder: Annotated[Path, typer.Argument(help="A version's folder, with docloop.json.")],
) -> None:
    """Look at a folder in full and make its version known, as a candidate.

    It stays where it is. `docloop models promote` serves it.

    For example:

        docloop models register var/versions/receipts-3fa91c02b7de
    """
    settings = load_settings()
    model = _run(_register(settings, folder))
    Console(stderr=True).print(f"{model.id} is known, as {model.state}.")


@app.command("promote")
def promote(
    version: VersionArgument,
    generation: Annotated[
        int | None, typer.Option(min=0, help="Only if the champion is at this generation.")
    ] = None,
) -> None:
    """Make a version the champion. A running service swaps to it without losing a request.

    For example:

        docloop models promote receipts-3fa91c02b7de
    """
    settings = load_settings()
    _say(_run(_change(settings, lambda by: by.promote(version, generation))))


@app.command("rollback")
def rollback(
    generation: Annotated[
        int | None, typer.Option(min=0, help="Only if the champion is at this generation.")
    ] = None,
) -> None:
    """Go back to the champion before this one, which is rejected.

    For example:

        docloop models rollback
    """
    settings = load_settings()
    _say(_run(_change(settings, lambda by: by.roll_back(generation))))


@app.command("canary")
def canary(
    version: Annotated[str | None, typer.Argument(help="Which; none ends it.")] = None,
    ratio: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Its share of the new predictions.")
    ] = 0.1,
) -> None:
    """Let a version answer a share of the predictions, beside the champion.

    For example:

        docloop models canary receipts-3fa91c02b7de --ratio 0.05

        docloop models canary
    """
    settings = load_settings()
    _say(_run(_change(settings, lambda by: by.set_canary(version, ratio))))


@app.command("shadow")
def shadow(
    version: Annotated[str | None, typer.Argument(help="Which; none ends it.")] = None,
) -> None:
    """Let a version answer what was answered already, for the record only.

    For example:

        docloop models shadow receipts-3fa91c02b7de
    """
    settings = load_settings()
    _say(_run(_change(settings, lambda by: by.set_shadow(version))))


def _run(work: Coroutine[Any, Any, T]) -> T:
    """The result; ends the command with one sentence where the work was refused."""
    try:
        return asyncio.run(work)
    except DocloopError as error:
        Console(stderr=True, highlight=False).print(str(error), style="red", markup=False)
        raise typer.Exit(1) from None


def _say(champion: Champion) -> None:
    console = Console(stderr=True, highlight=False)
    served = champion.model_version_id or "none"
    console.print(f"champion {served}, generation {champion.generation}")
    if champion.canary_version_id is not None:
        console.print(f"canary {champion.canary_version_id}, {champion.canary_ratio:.0%}")
    if champion.shadow_version_id is not None:
        console.print(f"shadow {champion.shadow_version_id}")


async def _read(settings: Settings) -> tuple[Champion, Sequence[ModelVersion]]:
    async with open_sessions(settings) as sessions, sessions() as session:
        return await get_champion(session), await list_models(session)


async def _read_one(
    settings: Settings, version: str
) -> tuple[ModelVersion, StoredDecision | None, list[Promotion]]:
    async with open_sessions(settings) as sessions, sessions() as session:
        model = await get_model(session, version)
        promotions = await list_promotions(session, 1000)
        return (
            model,
            await latest_decision(session, version),
            [promotion for promotion in promotions if promotion.model_version_id == version],
        )


async def _register(settings: Settings, folder: Path) -> ModelVersion:
    from extraction.model_folder import open_model_folder
    from extraction.traits import CARD

    opened = await asyncio.to_thread(open_model_folder, folder, require_hashes=True)
    manifest = json.loads(await asyncio.to_thread((opened.folder / CARD).read_text))
    async with open_sessions(settings) as sessions, sessions.begin() as session:
        known = {model.id for model in await list_models(session, 10_000)}
        new = NewModel(
            id=opened.version,
            name=opened.version.rpartition("-")[0] or opened.version,
            base=opened.base,
            path=str(opened.folder),
            manifest=manifest,
            # A parent that was never here stays in the manifest alone.
            parent_id=opened.parent if opened.parent in known else None,
        )
        model = await register_model(session, new)
        facts = {"base": opened.base, "parent": opened.parent}
        await record_event(
            session, None, actor=_ACTOR, action="model.register", subject=model.id, details=facts
        )
        return model


async def _change(
    settings: Settings, change: "Callable[[Promoter], Coroutine[Any, Any, Champion]]"
) -> Champion:
    from api.promotion import Promoter

    async with open_sessions(settings) as sessions:
        return await change(Promoter(sessions, settings, _ACTOR))
