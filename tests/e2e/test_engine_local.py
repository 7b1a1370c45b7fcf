"""A real vLLM server on a tiny random Llama, started, killed and left alone."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import psutil
import pytest
import pytest_asyncio
from jsonschema import Draft202012Validator

from api.engine.local import LocalEngine
from api.engine.options import LocalOptions
from extraction.answer import grammar_of
from extraction.document_types.catalogue import BUILT_IN
from extraction.document_types.graph import graph_type
from extraction.engine import Completion, EngineRefused, EngineStatus, Message, Prompt, Sampling
from extraction.errors import EngineUnavailable, PromptTooLong
from extraction.prompt import Asked, build_prompt
from extraction.record import normalise_record, parse_record
from trainer.tiny_models import build_llama

pytestmark = pytest.mark.asyncio(loop_scope="module")

SCHEMA = {
    "type": "object",
    "properties": {
        "total": {"type": ["string", "null"], "maxLength": 8},
        "kind": {"enum": ["a", "b"]},
    },
    "required": ["total", "kind"],
    "additionalProperties": False,
}
PLANTED = "X4711PLANTED"


def options(folder: Path, logs: Path) -> LocalOptions:
    return LocalOptions(
        model_folder=folder,
        served_name="sha256-0123",
        log_file=logs / "engine.log",
        threads=1,
        kv_cache_bytes=64 * 1024 * 1024,
    )


def ask(text: str = PLANTED, *after: Message) -> Prompt:
    return Prompt((Message("user", text), *after), hash="test")


async def wait_ready(engine: LocalEngine, seconds: float = 120.0) -> list[str]:
    """What the engine said it waited for until it was ready."""
    said: list[str] = []
    deadline = time.monotonic() + seconds
    while not engine.state().ready:
        state = engine.state()
        assert state.status is EngineStatus.STARTING, state
        assert time.monotonic() < deadline, state
        if not said or said[-1] != state.reason:
            said.append(state.reason)
        await asyncio.sleep(0.05)
    return said


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_llama(tmp_path_factory.mktemp("llama"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[LocalEngine]:
    engine = LocalEngine(options(folder, tmp_path_factory.mktemp("logs")), patience_seconds=60)
    await engine.start()
    said = await wait_ready(engine)
    # Looked at from time to time: a busy machine can pass through one phase between two looks.
    assert {"starting the model process", "loading weights"} & set(said)
    yield engine
    group = [p.pid for p in psutil.process_iter() if _in_group(p.pid, engine.pid)]
    assert len(group) > 1
    await engine.stop()
    assert engine.state().status is EngineStatus.STOPPED
    assert not any(_alive(pid) for pid in group)


def _in_group(pid: int, group: int | None) -> bool:
    try:
        return os.getpgid(pid) == group
    except ProcessLookupError:
        return False


def _alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def whole(completion: Completion) -> str:
    assert "".join(token.text for token in completion.tokens) == completion.text
    assert len(completion.tokens) == completion.completion_tokens
    json.dumps([token.logprob for token in completion.tokens], allow_nan=False)
    return completion.text


async def test_json_schema_is_held_without_whitespace(engine: LocalEngine) -> None:
    completion = await engine.generate(ask(), Sampling(max_tokens=64, grammar=SCHEMA))
    record = json.loads(whole(completion))
    Draft202012Validator(SCHEMA).validate(record)
    assert completion.text == json.dumps(record, separators=(",", ":"), ensure_ascii=False)
    assert completion.finish_reason == "stop"
    assert completion.model == "sha256-0123"
    assert completion.queue_seconds is not None


async def test_lark_with_special_tokens(engine: LocalEngine) -> None:
    grammar = "start: <passport_number> /[0-9]{9}/ </passport_number>"
    completion = await engine.generate(ask(), Sampling(max_tokens=32, grammar=grammar))
    text = whole(completion)
    assert re.fullmatch("<passport_number>[0-9]{9}</passport_number>", text)
    # One token each, so that confidence belongs to the value alone.
    assert completion.tokens[0].text == "<passport_number>"


async def test_lark_with_a_schema_in_place(engine: LocalEngine) -> None:
    compact = SCHEMA | {"x-guidance": {"whitespace_flexible": False}}
    grammar = f"start: <think> /[a-z ]{{3,12}}/ </think> rec\nrec: %json {json.dumps(compact)}"
    completion = await engine.generate(ask(), Sampling(max_tokens=96, grammar=grammar))
    thought, _, answer = whole(completion).partition("</think>")
    assert thought.startswith("<think>")
    record = json.loads(answer)
    Draft202012Validator(SCHEMA).validate(record)
    assert answer == json.dumps(record, separators=(",", ":"), ensure_ascii=False)


async def test_graphs_and_pages_are_whole_whatever_the_weights_are(engine: LocalEngine) -> None:
    graph, page = graph_type(["person", "place"], ["born in"]), BUILT_IN["document"]
    for kind, seed in ((graph, 1), (graph, 2), (graph, 3), (page, 1)):
        asked = Asked(kind)
        sampling = Sampling(300, temperature=1.0, seed=seed, grammar=grammar_of(asked))
        parsed = parse_record(await engine.generate(build_prompt(asked, []), sampling), asked)
        texts = {leaf.path: leaf.raw for leaf in parsed.leaves}
        assert normalise_record(kind, texts).misfits == ()
        if parsed.complete:
            assert parsed.dropped == 0, "the grammar leaves nothing to drop"


async def test_characters_of_several_bytes(engine: LocalEngine) -> None:
    grammar = 'start: "é€" /[à-ü]{3}/ "日本"'
    completion = await engine.generate(ask("é"), Sampling(max_tokens=64, grammar=grammar))
    assert re.fullmatch("é€[à-ü]{3}日本", whole(completion))
    free = Sampling(max_tokens=64, temperature=2.0, seed=3)
    whole(await engine.generate(ask(), free))  # noise, mostly no UTF-8


async def test_a_begun_answer_is_continued(engine: LocalEngine) -> None:
    begun = ask("say", Message("assistant", "<think>"))
    grammar = "start: /[a-z]{3}/ </think>"
    completion = await engine.generate(begun, Sampling(max_tokens=32, grammar=grammar))
    assert re.fullmatch("[a-z]{3}</think>", whole(completion))


async def test_a_cut_answer_says_so(engine: LocalEngine) -> None:
    completion = await engine.generate(ask(), Sampling(max_tokens=3, grammar=SCHEMA))
    assert completion.finish_reason == "length"


async def test_faults_of_the_request_are_named(engine: LocalEngine) -> None:
    with pytest.raises(PromptTooLong, match="2048 tokens"):
        await engine.generate(ask("x" * 5000), Sampling(max_tokens=4))
    with pytest.raises(EngineRefused, match="grammar"):
        await engine.generate(ask(), Sampling(max_tokens=4, grammar="start: missing"))
    with pytest.raises(EngineRefused, match="grammar"):
        await engine.generate(ask(), Sampling(max_tokens=4, grammar={"type": "strng"}))


async def test_only_the_key_opens_any_path(engine: LocalEngine) -> None:
    async with httpx.AsyncClient(base_url=str(engine.address), trust_env=False) as http:
        for path in ("/health", "/metrics", "/v1/models", "/is_paused"):
            assert (await http.get(path)).status_code == 401
        assert (await http.post("/pause")).status_code == 401
    assert "vllm:" in await engine.metrics_text()
    assert await engine.ready()
    assert engine.pid is not None
    assert engine.api_key not in " ".join(psutil.Process(engine.pid).cmdline())


@pytest.mark.parametrize("victim", ["server", "model process"])
async def test_killed_under_load_it_comes_back(engine: LocalEngine, victim: str) -> None:
    before, pid = engine.state().restarts, engine.pid
    assert pid is not None
    long = Sampling(max_tokens=1500, grammar="start: /[a-z]{1400}/")
    under_way = [asyncio.create_task(engine.generate(ask(f"n{n}"), long)) for n in range(6)]
    await asyncio.sleep(0.5)
    assert not any(task.done() for task in under_way)
    children = psutil.Process(pid).children()
    target = pid if victim == "server" else max(children, key=lambda c: c.memory_info().rss).pid
    os.kill(target, signal.SIGKILL)
    killed = time.monotonic()
    while engine.state().restarts == before:
        assert time.monotonic() - killed < 15
        await asyncio.sleep(0.05)
    assert not engine.state().ready
    completions = await asyncio.gather(*under_way)
    assert all(len(whole(completion)) == 1400 for completion in completions)
    assert engine.state().ready
    assert time.monotonic() - killed < 60
    assert not any(_alive(child.pid) for child in children)


async def test_the_log_holds_no_prompt(engine: LocalEngine) -> None:
    log = engine._options.log_file.read_text()
    assert "Application startup complete" in log
    assert PLANTED not in log
    assert engine.api_key not in log


async def test_a_folder_that_is_no_model_fails_clearly(tmp_path: Path) -> None:
    engine = LocalEngine(options(tmp_path / "none", tmp_path))
    await engine.start()
    await asyncio.sleep(0.1)
    assert engine.state().status is EngineStatus.FAILED
    assert "no config.json" in engine.state().reason
    with pytest.raises(EngineUnavailable):
        await engine.generate(ask(), Sampling(max_tokens=4))
    await engine.stop()


async def test_a_broken_model_fails_with_the_servers_words(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "nothing-known", "architectures": ["X"]}')
    engine = LocalEngine(options(tmp_path, tmp_path))
    await engine.start()
    async with asyncio.timeout(120):
        while engine.state().status is EngineStatus.STARTING:  # noqa: ASYNC110 - polled by design
            await asyncio.sleep(0.1)
    state = engine.state()
    assert state.status is EngineStatus.FAILED
    assert "nothing-known" in state.reason
    assert engine.last_lines
    await engine.stop()


PARENT = """
import asyncio, sys
from pathlib import Path
from api.engine.local import LocalEngine
from api.engine.options import LocalOptions

async def main():
    engine = LocalEngine(LocalOptions(
        model_folder=Path(sys.argv[1]), served_name="v", log_file=Path(sys.argv[2]) / "e.log",
        threads=1, kv_cache_bytes=2**26))
    await engine.start()
    while not engine.state().ready:
        await asyncio.sleep(0.1)
    print(engine.pid, flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


async def test_a_killed_parent_leaves_no_orphan(folder: Path, tmp_path: Path) -> None:
    parent = subprocess.Popen(  # noqa: ASYNC220, S603 - a parent that can be killed
        [sys.executable, "-c", PARENT, str(folder), str(tmp_path)], stdout=subprocess.PIPE
    )
    assert parent.stdout is not None
    group = int(await asyncio.to_thread(parent.stdout.readline))
    members = [p.pid for p in psutil.process_iter() if _in_group(p.pid, group)]
    assert len(members) >= 3  # server, model process, watcher
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 5
    while any(_alive(pid) for pid in members):
        assert time.monotonic() < deadline, members
        await asyncio.sleep(0.05)
