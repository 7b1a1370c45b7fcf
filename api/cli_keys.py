"""`docloop keys`: made and ended in the database itself, whether the service runs or not."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Annotated
from uuid import UUID

import typer
from rich.console import Console
from rich.table import Table

from api.cli_settings import load_settings, open_sessions
from api.settings import Settings
from db.errors import NotFound
from db.queries.audit import record_event
from db.queries.keys import NewKey, create_key, ensure_tenant, list_keys, revoke_key
from db.tables import ApiKey, Scope

app = typer.Typer(
    no_args_is_help=True,
    help="Make, list and revoke API keys.\n\n"
    "Only a key's hash is stored, so its text is printed once, when it is made.",
)
TenantOption = Annotated[
    str | None, typer.Option(help="Whose; documents of one tenant are hidden from all others.")
]
_ACTOR = "command line"


@app.command("create")
def create(
    name: Annotated[str, typer.Argument(help="What it is for, as a reminder.")] = "",
    scope: Annotated[
        list[Scope] | None, typer.Option(help="What it allows; may be repeated. All by default.")
    ] = None,
    tenant: TenantOption = None,
    *,
    days: Annotated[int | None, typer.Option(min=1, help="Ends after so many days.")] = None,
    rate: Annotated[int | None, typer.Option(min=1, help="Requests per minute.")] = None,
    max_bytes: Annotated[int | None, typer.Option(min=1024, help="Largest document.")] = None,
) -> None:
    """Make a key and print it, alone, on stdout.

    For example:

        export DOCLOOP_API_KEY=$(docloop keys create laptop)

        docloop keys create scanner --scope extract --days 90 --rate 60
    """
    settings = load_settings()

    async def make() -> NewKey:
        async with open_sessions(settings) as sessions, sessions() as session, session.begin():
            owner = await ensure_tenant(session, tenant or settings.tenant)
            new = await create_key(
                session,
                owner.id,
                scope or tuple(Scope),
                name=name,
                expires_at=None if days is None else datetime.now(UTC) + timedelta(days=days),
                requests_per_minute=rate,
                max_bytes=max_bytes,
            )
            await record_event(
                session, owner.id, actor=_ACTOR, action="key.create", subject=str(new.row.id)
            )
            return new

    new = asyncio.run(make())
    typer.echo(new.secret)
    Console(stderr=True).print(
        f"[dim]id {new.row.id}, scopes {', '.join(new.row.scopes)}. It is not shown again.[/]"
    )


@app.command("list")
def show(tenant: TenantOption = None) -> None:
    """List the keys of a tenant: id, first characters, scopes, limits, whether in force."""
    settings = load_settings()
    table = Table("id", "begins", "name", "scopes", "per minute", "last used", "state", box=None)
    for column in table.columns[:2]:
        column.no_wrap, column.overflow = True, "ignore"  # `revoke` wants one of them whole
        column.min_width = len("dl_x7Kq2")
    for key in asyncio.run(_list(settings, tenant)):
        table.add_row(
            str(key.id),
            key.prefix,
            key.name,
            ", ".join(key.scopes),
            "" if key.requests_per_minute is None else str(key.requests_per_minute),
            "" if key.last_used_at is None else f"{key.last_used_at:%Y-%m-%d %H:%M}",
            _state(key),
        )
    Console().print(table)


@app.command("revoke")
def revoke(
    key: Annotated[str, typer.Argument(help="The key's id, or its first characters.")],
    tenant: TenantOption = None,
) -> None:
    """End a key now. Its next request gets 401.

    For example:

        docloop keys revoke dl_x7Kq2
    """
    settings = load_settings()
    console = Console(stderr=True)
    found = [
        row
        for row in asyncio.run(_list(settings, tenant))
        if key in {str(row.id), row.prefix} and row.revoked_at is None
    ]
    if len(found) != 1:
        fault = "No key in force has" if not found else f"{len(found)} keys have"
        console.print(f"[red]{fault} this id or beginning;[/] see `docloop keys list`.")
        raise typer.Exit(1)
    try:
        asyncio.run(_revoke(settings, tenant, found[0].id))
    except NotFound as error:
        console.print(f"[red]{error}")
        raise typer.Exit(1) from None
    console.print(f"{found[0].id} is revoked.")


async def _list(settings: Settings, tenant: str | None) -> list[ApiKey]:
    async with open_sessions(settings) as sessions, sessions() as session, session.begin():
        owner = await ensure_tenant(session, tenant or settings.tenant)
        return list(await list_keys(session, owner.id))


async def _revoke(settings: Settings, tenant: str | None, key_id: UUID) -> None:
    async with open_sessions(settings) as sessions, sessions() as session, session.begin():
        owner = await ensure_tenant(session, tenant or settings.tenant)
        await revoke_key(session, owner.id, key_id)
        await record_event(
            session, owner.id, actor=_ACTOR, action="key.revoke", subject=str(key_id)
        )


def _state(key: ApiKey) -> str:
    if key.revoked_at is not None:
        return f"[red]revoked {key.revoked_at:%Y-%m-%d}[/]"
    if key.expires_at is not None and key.expires_at <= datetime.now(UTC):
        return f"[red]expired {key.expires_at:%Y-%m-%d}[/]"
    return "[green]in force[/]"
