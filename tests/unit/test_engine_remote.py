import asyncio
import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from api.engine.client import EngineLost
from api.engine.remote import RemoteEngine, merge_metrics
from api.engine.server import Ask, SmokeFailed, SwapFailed, VersionNotServed
from api.engine.swapping import SwappingEngine, SwapWay
from extraction.engine import EngineRefused, EngineStatus, Message, Prompt, Sampling
from extraction.errors import EngineUnavailable, PromptTooLong
from extraction.model_folder import ModelFolder
from extraction.traits import ModelTraits
from tests import waiting
from tests.fakes_engine import FakeVllm, answer

until = partial(waiting.until, seconds=5)

PROMPT = Prompt((Message("user", "u"),), hash="h")
SAMPLING = Sampling(max_tokens=8)


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


class AdapterVllm(FakeVllm):
    """Takes adapters, and answers as the model that it is asked for."""

    def __init__(self, model: str = "v-1", port: int = 0) -> None:
        super().__init__(model, port)
        self.adapters: dict[str, str] = {}
        self.refuses = False
        self.asked: list[str] = []
        self.respond = self._answer

    def _answer(self, request: dict[str, Any]) -> tuple[int, Any]:
        if (name := request["model"]) not in (self.model, *self.adapters):
            return 404, {"error": {"message": f"no {name}"}}
        self.asked.append(name)
        return 200, answer("ok") | {"model": name}

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        status, reply = 200, b""
        if scope["path"] == "/v1/models":
            models = [{"id": name} for name in (self.model, *self.adapters)]
            reply = json.dumps({"data": models}).encode()
        elif scope["path"].endswith("_lora_adapter"):
            request = json.loads((await receive())["body"])
            if scope["path"] == "/v1/unload_lora_adapter":
                del self.adapters[request["lora_name"]]
            elif self.refuses:
                status, reply = 400, b'{"error": {"message": "rank too high"}}'
            else:
                self.adapters[request["lora_name"]] = request["lora_path"]
        else:
            await super()._app(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": reply})


async def asks_once(ask: Ask) -> None:
    await ask(PROMPT, SAMPLING)


def remote(*servers: FakeVllm, linger: float = 0.0, **more: Any) -> RemoteEngine:
    addresses = [server.address for server in servers]
    return RemoteEngine(addresses, served_name="v-1", linger_seconds=linger, **more)


async def test_an_adapter_is_on_every_server_before_it_is_asked() -> None:
    async with AdapterVllm() as one, AdapterVllm() as two:
        engine = remote(one, two)
        await engine.start()
        await until(lambda: all_up(engine))
        with pytest.raises(VersionNotServed):
            await engine.generate(PROMPT, SAMPLING, version="a-1")
        await engine.load_adapter("a-1", Path("/versions/a-1/adapter"), asks_once)
        assert one.adapters == two.adapters == {"a-1": "/versions/a-1/adapter"}
        assert one.asked == two.asked == ["a-1"]
        for _ in range(4):
            assert (await engine.generate(PROMPT, SAMPLING, version="a-1")).model == "a-1"
        assert (await engine.generate(PROMPT, SAMPLING)).model == "v-1"
        await engine.unload_adapter("a-1")
        await until(lambda: not one.adapters and not two.adapters)
        await engine.stop()


async def test_a_server_that_comes_back_gets_its_adapters_first() -> None:
    one = await AdapterVllm().__aenter__()
    async with AdapterVllm() as two:
        engine = remote(one, two, adapters=[("a-1", Path("/versions/a-1"))])
        await engine.start()
        await until(lambda: all_up(engine))
        assert list(one.adapters) == list(two.adapters) == ["a-1"]
        await one.die()
        await until(lambda: bool(engine.state().reason), seconds=10)
        await engine.load_adapter("a-2", Path("/versions/a-2"), asks_once)
        async with AdapterVllm(port=one.port) as again:
            again.refuses = True
            await until(lambda: "does not take an adapter" in engine.state().reason, seconds=10)
            again.refuses = False
            await until(lambda: all_up(engine), seconds=10)
            assert sorted(again.adapters) == ["a-1", "a-2"]
        await engine.stop()


@pytest.mark.parametrize("fault", ["refused", "smoke"])
async def test_an_adapter_that_fails_on_one_server_is_on_none(fault: str) -> None:
    async def fails(_: Ask) -> None:
        raise SmokeFailed("noise")

    async with AdapterVllm() as one, AdapterVllm() as two:
        engine = remote(one, two)
        await engine.start()
        await until(lambda: all_up(engine))
        two.refuses = fault == "refused"
        smoke = asks_once if fault == "refused" else fails
        with pytest.raises((EngineRefused, SmokeFailed)):
            await engine.load_adapter("a-1", Path("/versions/a-1"), smoke)
        assert one.adapters == two.adapters == {}
        assert all_up(engine)
        await engine.stop()


async def test_an_adapter_that_is_wanted_again_does_not_leave() -> None:
    async with AdapterVllm() as one:
        engine = remote(one, linger=0.1)
        await engine.start()
        await until(lambda: all_up(engine))
        await engine.load_adapter("a-1", Path("/versions/a-1"), asks_once)
        await engine.unload_adapter("a-1")
        assert "a-1" in one.adapters  # another process may still ask for it
        await engine.load_adapter("a-1", Path("/versions/a-1"), asks_once)
        await asyncio.sleep(0.2)
        assert "a-1" in one.adapters
        await engine.stop()


async def test_swaps_on_remote_servers() -> None:
    base = ModelFolder("v-1", Path("/base"), "merged", ModelTraits("v-1"))
    adapters = [
        ModelFolder(name, Path("/versions") / name, "adapter", ModelTraits(name), None, "v-1")
        for name in ("a-1", "a-2")
    ]
    async with AdapterVllm() as one, AdapterVllm() as two:
        engine = SwappingEngine(base, remote(one, two), smoke=asks_once)
        await engine.start()
        await until(lambda: engine.state().ready and not engine.state().reason)
        for model in adapters:
            assert (await engine.swap(model)).way is SwapWay.ADAPTER
            assert (await engine.generate(PROMPT, SAMPLING)).model == model.version
            assert engine.state().model == model.version
        await until(lambda: list(one.adapters) == list(two.adapters) == ["a-2"])
        other = ModelFolder("m-3", Path("/versions/m-3"), "merged", ModelTraits("m-3"))
        with pytest.raises(SwapFailed, match="remote servers"):
            await engine.swap(other)
        assert (await engine.generate(PROMPT, SAMPLING)).model == "a-2"
        await engine.stop()
