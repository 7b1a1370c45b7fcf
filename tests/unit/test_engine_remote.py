import asyncio
import time
from collections.abc import Callable

import pytest
from prometheus_client.parser import text_string_to_metric_families

from api.engine.client import EngineLost
from api.engine.remote import RemoteEngine, merge_metrics
from extraction.engine import EngineStatus, Message, Prompt, Sampling
from extraction.errors import EngineUnavailable, PromptTooLong
from tests.fakes_engine import FakeVllm

PROMPT = Prompt((Message("user", "u"),), hash="h")
SAMPLING = Sampling(max_tokens=8)


async def until(true: Callable[[], bool], seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


def all_up(engine: RemoteEngine) -> bool:
    return engine.state().ready and not engine.state().reason


async def test_the_least_busy_server_is_asked() -> None:
    async with FakeVllm() as one, FakeVllm() as two:
        engine = RemoteEngine([one.address, two.address], served_name="v-1")
        await engine.start()
        await until(lambda: all_up(engine))
        one.hold.clear()
        two.hold.clear()
        tasks = [asyncio.create_task(engine.generate(PROMPT, SAMPLING)) for _ in range(10)]
        await until(lambda: len(one.requests) + len(two.requests) == 10)
        assert (len(one.requests), len(two.requests)) == (5, 5)
        two.hold.set()
        await until(lambda: sum(task.done() for task in tasks) == 5)
        for _ in range(4):  # one is still busy
            await engine.generate(PROMPT, SAMPLING)
        assert len(one.requests) == 5
        one.hold.set()
        await asyncio.gather(*tasks)
        await engine.stop()
    assert engine.state().status is EngineStatus.STOPPED


async def test_requests_of_a_dying_server_go_to_the_other_and_it_returns() -> None:
    async with FakeVllm() as two:
        one = await FakeVllm().__aenter__()
        engine = RemoteEngine([one.address, two.address], served_name="v-1")
        await engine.start()
        await until(lambda: all_up(engine))
        one.hold.clear()
        tasks = [asyncio.create_task(engine.generate(PROMPT, SAMPLING)) for _ in range(6)]
        await until(lambda: len(one.requests) == 3)
        await one.die()
        assert [c.text for c in await asyncio.gather(*tasks)] == ["ok"] * 6
        assert engine.state().ready
        assert f"127.0.0.1:{one.port}" in engine.state().reason
        async with FakeVllm(port=one.port) as again:
            await until(lambda: all_up(engine))
            assert engine.state().restarts == 1
            await asyncio.gather(*(engine.generate(PROMPT, SAMPLING) for _ in range(4)))
            assert again.requests
        await engine.stop()


async def test_all_down() -> None:
    async with FakeVllm() as server:
        address = server.address
    engine = RemoteEngine([address], served_name="v-1", patience_seconds=0.2)
    await engine.start()
    with pytest.raises(EngineUnavailable) as caught:
        await engine.generate(PROMPT, SAMPLING)
    assert caught.value.retry_after_seconds > 0
    assert not await engine.ready()
    assert await engine.metrics_text() == ""
    await engine.stop()


async def test_another_model_or_a_dead_engine_is_as_good_as_down() -> None:
    async with FakeVllm(model="v-2") as other, FakeVllm() as dead, FakeVllm() as right:
        dead.healthy = False
        engine = RemoteEngine([s.address for s in (other, dead, right)], served_name="v-1")
        await engine.start()
        await until(lambda: engine.state().ready and "another model" in engine.state().reason)
        await asyncio.gather(*(engine.generate(PROMPT, SAMPLING) for _ in range(6)))
        assert len(right.requests) == 6
        assert "another model" in engine.state().reason
        assert "engine is down" in engine.state().reason
        await engine.stop()


async def test_a_request_that_kills_is_asked_twice_at_most() -> None:
    async with FakeVllm() as one, FakeVllm() as two, FakeVllm() as three:
        servers = (one, two, three)
        for server in servers:
            server.respond = lambda _: (500, {})
        engine = RemoteEngine([s.address for s in servers], served_name="v-1")
        await engine.start()
        await until(lambda: all_up(engine))
        with pytest.raises(EngineLost):
            await engine.generate(PROMPT, SAMPLING)
        assert sum(len(server.requests) for server in servers) == 2
        await engine.stop()


async def test_a_fault_of_the_request_is_not_asked_again() -> None:
    async with FakeVllm() as one, FakeVllm() as two:
        body = {"error": {"message": "maximum context length is 9 tokens"}}
        one.respond = two.respond = lambda _: (400, body)
        engine = RemoteEngine([one.address, two.address], served_name="v-1")
        await engine.start()
        await until(lambda: all_up(engine))
        with pytest.raises(PromptTooLong):
            await engine.generate(PROMPT, SAMPLING)
        assert len(one.requests) + len(two.requests) == 1
        assert all_up(engine)
        await engine.stop()


async def test_metrics_of_several_servers_are_one_text() -> None:
    text = (
        "# HELP vllm:e2e Seconds.\n# TYPE vllm:e2e histogram\n"
        'vllm:e2e_bucket{le="1.0",engine="0"} 1.0\nvllm:e2e_bucket{le="+Inf",engine="0"} 2.0\n'
        'vllm:e2e_count{engine="0"} 2.0\nvllm:e2e_sum{engine="0"} 3.0\n'
        "# HELP up Up.\n# TYPE up gauge\nup 1.0\n"
    )
    merged = merge_metrics({"a:1": text, "b:2": text})
    families = {f.name: f for f in text_string_to_metric_families(merged)}
    assert set(families) == {"vllm:e2e", "up"}
    assert families["vllm:e2e"].type == "histogram"
    assert {s.labels["server"] for s in families["up"].samples} == {"a:1", "b:2"}
    assert len(families["vllm:e2e"].samples) == 8
    assert merged.count("# TYPE") == 2
