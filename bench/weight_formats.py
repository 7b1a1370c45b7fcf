"""What 8-bit weights gain and cost: `python bench/weight_formats.py MODEL LINES [--count 20]`.

The model's folder is served as it is, then with 8-bit weights (trainer/quantised.py); both answer
the same receipts, one at a time, then eight at a time. LINES is a file of lines that were read
before (`sroie-lines.jsonl` of the default model's training), so nothing but the engine is measured.
CPU seconds are the engine's own: they hold also where other work shares the cores.
"""

import asyncio
import itertools
import json
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import psutil
import typer
from rich.console import Console
from rich.table import Table

from api.engine.local import LocalEngine
from api.engine.options import LocalOptions
from extraction.answer import answer_tokens, grammar_of
from extraction.document_types.receipt import RECEIPT
from extraction.engine import Completion, EngineStatus, Prompt, Sampling
from extraction.lines import Box, Line
from extraction.model_folder import open_model_folder
from extraction.prompt import Asked, build_prompt
from extraction.traits import ModelTraits
from trainer.quantised import quantise

_FOUR = ("merchant_name", "merchant_address", "transaction_date", "total")
_TOGETHER = 8


@dataclass(frozen=True, slots=True)
class Measured:
    """One format.

    Attributes:
        answers: in the order of the prompts.
        start_seconds: until the server was ready.
        memory_gib: the server's peak.
        seconds: of each answer, one at a time.
        cpu_seconds: of the server for one answer, one at a time.
        together_per_second: answers with eight under way.
    """

    answers: tuple[Completion, ...]
    start_seconds: float
    memory_gib: float
    seconds: tuple[float, ...]
    cpu_seconds: float
    together_per_second: float


def main(
    model: Annotated[Path, typer.Argument(help="A merged version's folder.")],
    lines: Annotated[Path, typer.Argument(help="JSON Lines: id, lines.")],
    count: Annotated[int, typer.Option(help="Receipts.")] = 20,
    threads: Annotated[int, typer.Option(help="Threads of the engine.")] = 2,
) -> None:
    """Measure both and print a table."""
    traits = open_model_folder(model).traits
    asked = Asked(RECEIPT.select(_FOUR), style=traits.style, layout=traits.layout)
    with lines.open() as file:
        read = [read_lines(row) for row in itertools.islice(file, 400, 400 + count)]
    prompts = [build_prompt(asked, receipt) for receipt in read]
    sampling = Sampling(answer_tokens(asked), grammar=grammar_of(asked, traits.special_tokens))
    with tempfile.TemporaryDirectory() as work:
        small = Path(work) / "int8"
        quantise(model, small)
        found = [
            asyncio.run(measure(folder, traits, prompts, sampling, threads))
            for folder in (model, small)
        ]
    Console(width=120).print(table_of(found))


def read_lines(row: str) -> list[Line]:
    """The lines of a receipt as `dataclasses.asdict` wrote them."""
    stored = json.loads(row)["lines"]
    return [Line(**{**line, "box": Box(**line["box"])}) for line in stored]


async def measure(
    folder: Path, traits: ModelTraits, prompts: list[Prompt], sampling: Sampling, threads: int
) -> Measured:
    """One life of a server."""
    with tempfile.TemporaryDirectory() as log:
        options = LocalOptions(folder, traits.version, Path(log) / "engine.log", threads=threads)
        engine = LocalEngine(options, start_timeout_seconds=600)
        began = time.monotonic()
        await engine.start()
        try:
            while not engine.state().ready:
                if engine.state().status is EngineStatus.FAILED:
                    raise RuntimeError("\n".join(engine.last_lines))
                await asyncio.sleep(0.2)
            start = time.monotonic() - began
            server = psutil.Process(engine.pid)
            await engine.generate(prompts[0], sampling)  # the first one warms up
            before = _cpu(server)
            answers = [await engine.generate(prompt, sampling) for prompt in prompts]
            cpu = (_cpu(server) - before) / len(prompts)
            rate = await _together(engine, prompts, sampling)
            memory = sum(part.memory_info().rss for part in _parts(server)) / 2**30
        finally:
            await engine.stop()
    seconds = tuple(answer.total_seconds for answer in answers)
    return Measured(tuple(answers), start, memory, seconds, cpu, rate)


async def _together(engine: LocalEngine, prompts: list[Prompt], sampling: Sampling) -> float:
    slots = asyncio.Semaphore(_TOGETHER)

    async def one(prompt: Prompt) -> None:
        async with slots:
            await engine.generate(prompt, sampling)

    began = time.monotonic()
    await asyncio.gather(*map(one, prompts))
    return len(prompts) / (time.monotonic() - began)


def _parts(server: psutil.Process) -> list[psutil.Process]:
    """The server and the processes that it has started."""
    return [server, *server.children(recursive=True)]


def _cpu(server: psutil.Process) -> float:
    times = [part.cpu_times() for part in _parts(server)]
    return float(sum(spent.user + spent.system for spent in times))


def table_of(found: list[Measured]) -> Table:
    """Both formats, side by side."""
    exact = found[0]
    table = Table("", "as it is", "8 bits")
    same = [
        sum(a.text == b.text for a, b in zip(exact.answers, one.answers, strict=True))
        for one in found
    ]
    tokens = [sum(answer.completion_tokens for answer in one.answers) for one in found]
    rows = {
        "start, s": [f"{one.start_seconds:.0f}" for one in found],
        "memory, GiB": [f"{one.memory_gib:.2f}" for one in found],
        "answer p50, s": [f"{statistics.median(one.seconds):.2f}" for one in found],
        "CPU seconds an answer": [f"{one.cpu_seconds:.2f}" for one in found],
        "answers a second, 8 at a time": [f"{one.together_per_second:.2f}" for one in found],
        "answer tokens": [str(count) for count in tokens],
        "same answers": [f"{count} of {len(exact.answers)}" for count in same],
    }
    for name, values in rows.items():
        table.add_row(name, *values)
    return table


if __name__ == "__main__":
    typer.run(main)
