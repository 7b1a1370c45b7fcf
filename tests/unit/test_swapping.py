"""The swap's own logic, with servers that keep a book; `tests/e2e/test_swap.py` has real ones."""

import asyncio
import math
from pathlib import Path

import pytest

from api.engine.server import Ask, SmokeFailed, SwapFailed, VersionNotServed
from api.engine.swapping import SwappingEngine, SwapWay
from extraction.engine import (
    EngineRefused,
    EngineStatus,
)
from extraction.errors import EngineUnavailable
from extraction.model_folder import BadModelFolder
from tests.fakes_swapping import (
    PROMPT,
    SAMPLING,
    Bench,
    FakeServer,
    answers,
    engine_of,
    settled,
    until_closed,
)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


async def test_a_reload_holds_new_requests_and_waits_for_the_old(bench: Bench) -> None:
    engine, server = await engine_of(bench.merged("a"))
    server.hold.clear()
    old = [asyncio.create_task(answers(engine)) for _ in range(3)]
    await settled()
    switched: list[str] = []
    swap = asyncio.create_task(
        engine.swap(bench.merged("b"), on_switch=lambda model: switched.append(model.version))
    )
    await until_closed(engine)
    new = [asyncio.create_task(answers(engine)) for _ in range(3)]
    await settled()
    assert server.told == []
    assert not any(task.done() for task in (*old, *new))
    assert await engine.ready()
    assert switched == []
    server.hold.set()
    assert await asyncio.gather(*old) == ["a"] * 3
    assert await asyncio.gather(*new) == ["b"] * 3
    outcome = await swap
    assert (outcome.version, outcome.way) == ("b", SwapWay.RELOAD)
    assert 0 < outcome.drain_seconds <= outcome.pause_seconds <= outcome.total_seconds
    assert engine.versions() == ("b",)
    assert engine.state().model == "b"
    assert switched == ["b"]


async def test_the_time_in_the_pause_counts_as_waiting(bench: Bench) -> None:
    engine, server = await engine_of(bench.merged("a"))
    server.hold.clear()
    first = asyncio.create_task(engine.generate(PROMPT, SAMPLING))
    await settled()
    swap = asyncio.create_task(engine.swap(bench.merged("b")))
    await until_closed(engine)
    held = asyncio.create_task(engine.generate(PROMPT, SAMPLING))
    await asyncio.sleep(0.1)
    server.hold.set()
    await swap
    assert (await first).queue_seconds == pytest.approx(0.1, abs=0.01)
    completion = await held
    assert completion.queue_seconds is not None
    assert completion.queue_seconds > 0.19  # held for 0.1 s
    assert math.isclose(completion.total_seconds - completion.queue_seconds, 0.4)


@pytest.mark.parametrize("fault", [EngineUnavailable("it died"), EngineRefused(500, "bad file")])
async def test_a_failed_reload_leaves_the_old_version(bench: Bench, fault: Exception) -> None:
    engine, server = await engine_of(bench.merged("a"))
    server.fault = fault
    b = bench.merged("b")
    with pytest.raises(SwapFailed) as caught:
        await engine.swap(b)
    assert caught.value.version == "b"
    assert caught.value.reason in {"it died", "bad file"}
    assert await answers(engine) == "a"
    server.fault = None
    await engine.swap(b)
    assert await answers(engine) == "b"


async def test_a_drain_that_takes_too_long_gives_the_swap_up(bench: Bench) -> None:
    engine, server = await engine_of(bench.merged("a"), drain=0.05)
    server.hold.clear()
    stuck = asyncio.create_task(answers(engine))
    await settled()
    with pytest.raises(SwapFailed, match="requests took"):
        await engine.swap(bench.merged("b"))
    assert server.told == []
    server.hold.set()
    assert await stuck == "a"
    assert await answers(engine) == "a"


async def test_a_cancelled_swap_lets_the_waiting_go_on(bench: Bench) -> None:
    engine, server = await engine_of(bench.merged("a"))
    server.hold.clear()
    tasks = [asyncio.create_task(answers(engine))]
    await settled()
    swap = asyncio.create_task(engine.swap(bench.merged("b")))
    await until_closed(engine)
    tasks.append(asyncio.create_task(answers(engine)))
    await settled()
    swap.cancel()
    server.hold.set()
    assert await asyncio.gather(*tasks) == ["a", "a"]
    with pytest.raises(asyncio.CancelledError):
        await swap


async def test_an_abandoned_request_does_not_hold_the_swap(bench: Bench) -> None:
    engine, server = await engine_of(bench.merged("a"))
    server.hold.clear()
    task = asyncio.create_task(answers(engine))
    await settled()
    task.cancel()
    await engine.swap(bench.merged("b"))
    server.hold.set()
    assert await answers(engine) == "b"


async def test_an_adapter_comes_beside_the_old_and_the_old_leaves_when_it_is_idle(
    bench: Bench,
) -> None:
    base = bench.merged("base")
    engine, server = await engine_of(base, adapters=True)
    outcome = await engine.swap(bench.adapter("a1", "base"))
    assert (outcome.way, outcome.pause_seconds) == (SwapWay.ADAPTER, 0.0)
    server.hold.clear()
    old = asyncio.create_task(answers(engine))
    await settled()
    swap = asyncio.create_task(engine.swap(bench.adapter("a2", "base")))
    await settled()
    new = asyncio.create_task(answers(engine))
    await settled()
    assert server.adapters == ["a1", "a2"]
    assert not swap.done()
    server.hold.set()
    assert (await old, await new) == ("a1", "a2")
    await swap
    assert server.told == ["load a1 adapter", "load a2 adapter", "unload a1"]
    # Back to what the adapters are made for: it is still there.
    assert (await engine.swap(base)).way is SwapWay.ADAPTER
    assert await answers(engine) == "base"
    assert server.adapters == []
    assert not server.twins


async def test_where_base_and_adapter_must_not_meet_they_change_in_a_pause(bench: Bench) -> None:
    base, a1, a2 = bench.merged("base"), bench.adapter("a1", "base"), bench.adapter("a2", "base")
    engine, server = await engine_of(base, adapters=True)
    server.mixes_base_and_adapters = False
    server.hold.clear()
    old = asyncio.create_task(answers(engine))
    await settled()
    swap = asyncio.create_task(engine.swap(a1))
    await until_closed(engine)
    new = asyncio.create_task(answers(engine))
    await settled()
    assert server.told == []  # not even the test request, while the base is asked
    server.hold.set()
    outcome = await swap
    assert (await old, await new) == ("base", "a1")
    assert outcome.way is SwapWay.ADAPTER
    assert 0 < outcome.drain_seconds <= outcome.pause_seconds
    assert (await engine.swap(a2)).pause_seconds == 0.0  # adapters may meet
    await engine.load(base)  # not in this server
    assert (server.told, len(server.twins)) == (
        ["load a1 adapter", "load a2 adapter", "unload a1"],
        1,
    )
    await engine.unload("base")
    assert (await engine.swap(base)).pause_seconds > 0
    assert server.adapters == []
    assert await answers(engine) == "base"
    await engine.swap(a1)
    await engine.load(a2)
    assert (await engine.swap(base)).way is SwapWay.SECOND_ENGINE  # a2 stays where it is
    assert await answers(engine, "a2") == "a2"


async def test_an_adapter_that_does_not_load_changes_nothing(bench: Bench) -> None:
    engine, server = await engine_of(bench.merged("base"), adapters=True)
    server.fault = EngineRefused(400, "rank too high")
    with pytest.raises(SwapFailed, match="rank too high"):
        await engine.swap(bench.adapter("a1", "base"))
    assert await answers(engine) == "base"
    assert engine.versions() == ("base",)


async def test_an_adapter_for_another_base_is_refused(bench: Bench) -> None:
    engine, server = await engine_of(bench.merged("base"), adapters=True)
    for way in (None, SwapWay.ADAPTER):
        with pytest.raises(BadModelFolder):
            await engine.swap(bench.adapter("a1", "other"), way=way)
    assert server.told == []
    assert await answers(engine) == "base"


async def test_an_adapter_on_a_server_without_adapters_takes_a_second_engine(bench: Bench) -> None:
    base = bench.merged("base")
    engine, first = await engine_of(base, base=base)
    outcome = await engine.swap(bench.adapter("a1", "base"))
    assert outcome.way is SwapWay.SECOND_ENGINE
    assert first.status is EngineStatus.STOPPED
    assert await answers(engine) == "a1"


async def test_another_architecture_takes_a_second_engine(bench: Bench) -> None:
    engine, first = await engine_of(bench.merged("a"))
    first.hold.clear()
    old = asyncio.create_task(answers(engine))
    await settled()
    swap = asyncio.create_task(engine.swap(bench.merged("deep", layers=3)))
    async with asyncio.timeout(5):
        while engine.champion.version == "a":  # noqa: ASYNC110 - a thread compares the folders
            await asyncio.sleep(0.01)
    assert await answers(engine) == "deep"  # nobody waits for the old one's last answer
    assert first.status is EngineStatus.READY
    assert not swap.done()
    first.hold.set()
    assert await old == "a"
    outcome = await swap
    assert (outcome.way, outcome.pause_seconds) == (SwapWay.SECOND_ENGINE, 0.0)
    assert first.status is EngineStatus.STOPPED
    assert await engine.metrics_text() == "of deep"
    await engine.swap(bench.merged("deeper", layers=4))
    assert first.twins[0].twins[0].told == ["slot 0"]  # free again
    await engine.stop()
    assert engine.state().status is EngineStatus.STOPPED


@pytest.mark.parametrize("ends", [EngineStatus.FAILED, EngineStatus.STARTING])
async def test_a_second_engine_that_does_not_come_up_is_stopped(
    bench: Bench, ends: EngineStatus
) -> None:
    engine, server = await engine_of(bench.merged("a"))
    server.comes_up_as = ends
    with pytest.raises(SwapFailed, match="does not start: told so"):
        await engine.swap(bench.merged("b"), way=SwapWay.SECOND_ENGINE)
    assert server.twins[0].status is EngineStatus.STOPPED
    assert await answers(engine) == "a"


async def test_a_second_engine_that_fails_its_test_is_stopped(bench: Bench) -> None:
    a = bench.merged("a")
    server = FakeServer(a)

    async def fails(_: Ask) -> None:
        raise SmokeFailed("noise")

    engine = SwappingEngine(a, server, smoke=fails)
    await engine.start()
    with pytest.raises(SwapFailed, match="noise"):
        await engine.swap(bench.merged("deep", layers=3))
    assert server.twins[0].status is EngineStatus.STOPPED
    assert engine.versions() == ("a",)


async def test_a_reload_cannot_be_forced_where_it_would_mix(bench: Bench) -> None:
    engine, server = await engine_of(bench.merged("a"))
    with pytest.raises(BadModelFolder, match="in place"):
        await engine.swap(bench.merged("deep", layers=3), way=SwapWay.RELOAD)
    with pytest.raises(BadModelFolder, match="in place"):
        await engine.swap(bench.adapter("x", "a"), way=SwapWay.RELOAD)
    assert server.told == []


async def test_an_engine_that_never_came_up_is_replaced(bench: Bench) -> None:
    engine, server = await engine_of(bench.merged("a"))
    server.status = EngineStatus.FAILED
    assert (await engine.swap(bench.merged("b"))).way is SwapWay.SECOND_ENGINE
    assert engine.state().ready


async def test_versions_beside_the_champion(bench: Bench) -> None:
    engine, first = await engine_of(bench.merged("a"))
    b = bench.merged("b")
    await engine.load(b)
    await engine.load(b)  # again: nothing
    assert len(first.twins) == 1
    assert engine.versions() == ("a", "b")
    assert await answers(engine, "b") == "b"
    assert await answers(engine, "a") == await answers(engine) == "a"
    await engine.unload("b")
    assert first.twins[0].status is EngineStatus.STOPPED
    with pytest.raises(VersionNotServed) as caught:
        await answers(engine, "b")
    assert caught.value.version == "b"
    await engine.unload("b")
    with pytest.raises(ValueError, match="champion"):
        await engine.unload("a")


async def test_a_canary_that_is_promoted_just_takes_over(bench: Bench) -> None:
    engine, first = await engine_of(bench.merged("a"))
    b = bench.merged("b")
    await engine.load(b)
    outcome = await engine.swap(b)
    assert (outcome.way, outcome.pause_seconds) == (SwapWay.SECOND_ENGINE, 0.0)
    assert engine.versions() == ("b",)
    assert len(first.twins) == 1
    assert first.status is EngineStatus.STOPPED


async def test_a_champion_that_shares_its_server_is_not_reloaded(bench: Bench) -> None:
    engine, first = await engine_of(bench.merged("base"), adapters=True)
    await engine.load(bench.adapter("a1", "base"))  # a reload would drop it
    outcome = await engine.swap(bench.merged("b"))
    assert outcome.way is SwapWay.SECOND_ENGINE
    assert engine.versions() == ("b", "a1")
    assert await answers(engine, "a1") == "a1"
    await engine.unload("a1")
    assert first.status is EngineStatus.STOPPED


async def test_one_swap_at_a_time(bench: Bench) -> None:
    engine, server = await engine_of(bench.merged("a"))
    versions = [bench.merged(name) for name in "bcd"]
    outcomes = await asyncio.gather(*(engine.swap(version) for version in versions))
    assert [outcome.version for outcome in outcomes] == ["b", "c", "d"]
    assert server.told == ["reload b", "reload c", "reload d"]
    assert (await engine.swap(versions[-1])).total_seconds == 0.0
    assert len(server.told) == 3


async def test_a_request_for_a_version_that_is_retired_while_it_waits(bench: Bench) -> None:
    engine, server = await engine_of(bench.merged("a"))
    server.hold.clear()
    first = asyncio.create_task(answers(engine))
    await settled()
    swap = asyncio.create_task(engine.swap(bench.merged("b")))
    await until_closed(engine)
    named = asyncio.create_task(answers(engine, "a"))
    await settled()
    server.hold.set()
    await swap
    assert await first == "a"
    with pytest.raises(VersionNotServed):
        await named
