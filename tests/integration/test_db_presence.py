"""Who lives, by the locks that are held."""

import asyncio

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from db.presence import Presence, is_gone


async def test_a_process_is_there_until_it_stops(
    database_url: str, sessions: async_sessionmaker[AsyncSession]
) -> None:
    presence = Presence()
    async with sessions.begin() as session:
        assert await is_gone(session, presence.number)
    await presence.start(database_url)
    async with sessions.begin() as session:
        assert not await is_gone(session, presence.number)
    await presence.stop()
    async with sessions.begin() as session:
        assert await is_gone(session, presence.number)


async def test_two_who_ask_do_not_take_each_other_for_it(
    sessions: async_sessionmaker[AsyncSession],
) -> None:
    number = Presence().number
    async with sessions.begin() as first, sessions.begin() as second:
        assert await is_gone(first, number)
        assert await is_gone(second, number)


async def test_a_lost_connection_is_replaced(
    database_url: str, sessions: async_sessionmaker[AsyncSession]
) -> None:
    presence = Presence()
    await presence.start(database_url)
    async with sessions.begin() as session:
        await session.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                " AND application_name = 'docloop' AND query LIKE '%advisory%'"
            )
        )
    async with asyncio.timeout(15):
        while True:
            await asyncio.sleep(0.5)
            async with sessions.begin() as session:
                if not await is_gone(session, presence.number):
                    break
    await presence.stop()
