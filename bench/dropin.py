"""Does SmolVLM-256M drop in? `python bench/dropin.py [--work FOLDER]`.

A model of its configuration with random weights goes every way that a model goes here: SFT on pages
and lines, GRPO, soup, a new version, the local engine with a page and a grammar, and the swap to
that version. Takes minutes, 2 GB of disk and about 3 GB of memory; run by hand.
"""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from running_service import draw_page

from api.engine.local import LocalEngine
from api.engine.options import LocalOptions
from api.engine.smoke import smoke_test
from extraction.classify import TypeClassifier
from extraction.confidence import Calibration
from extraction.document_types.receipt import RECEIPT
from extraction.engine import EngineStatus
from extraction.extract import Extraction, Extractor, ExtractRequest, Readers
from extraction.lines import Box, Line
from extraction.model_folder import ModelFolder, open_model_folder
from extraction.page_view import PageView
from extraction.pages import Page
from extraction.prompt import Asked, PromptStyle
from trainer.examples import make_example
from trainer.profile import load_profile
from trainer.rewards import Task, encode_task
from trainer.smolvlm_shape import TILE, build_smolvlm
from trainer.stage import DONE, read_json

VERSION = "smolvlm-000000000000"
# Three tiles instead of seventeen: the same code in a fifth of the time.
VIEW = PageView(tile_pixels=TILE, most_tiles=3, most_tiles_alone=3)
NAMES = ("merchant_name", "total")
_PEAK_KIBIBYTES = 1024


@dataclass(frozen=True, slots=True)
class Step:
    """One way that was gone, and what it took."""

    name: str
    seconds: float
    peak_gib: float | None
    result: str


def main(
    work: Annotated[Path | None, typer.Option(help="Where all is written; kept.")] = None,
    threads: Annotated[int, typer.Option(help="CPU threads of each step.")] = 2,
) -> None:
    """Go every way and print a table."""
    work = work or Path(tempfile.mkdtemp(prefix="dropin-"))
    steps: list[Step] = []
    began = time.monotonic()
    champion = build_smolvlm(work / "champion", VERSION, VIEW)
    steps.append(Step("build", time.monotonic() - began, None, _size(champion)))
    steps += asyncio.run(_go(work, champion, threads))
    table = Table("way", "seconds", "peak GiB", "result")
    for step in steps:
        peak = "" if step.peak_gib is None else f"{step.peak_gib:.1f}"
        table.add_row(step.name, f"{step.seconds:.0f}", peak, step.result)
    Console(width=120).print(table)


async def _go(work: Path, champion: Path, threads: int) -> list[Step]:
    examples = write_examples(work)
    profile = _profile(threads)
    task = {"champion": str(champion), "profile": profile, "examples": str(examples)}
    adapters, steps = [], []
    sft, step = run_stage(work, "sft", task, threads)
    steps.append(step)
    for index in range(2):
        more = {**task, "index": index, "sft_adapter": sft["adapter"]}
        made, step = run_stage(work, "grpo", more, threads, name=f"grpo {index}")
        adapters.append(made["adapter"])
        steps.append(step)
    soup, step = run_stage(work, "soup", {**task, "adapters": adapters}, threads)
    steps.append(step)
    more = {"adapter": soup["adapter"], "versions": str(work / "versions"), "run": "dropin"}
    made, step = run_stage(work, "version", {**task, **more}, threads)
    steps.append(step)
    return steps + await serve(work, champion, Path(made["folder"]), threads)


def run_stage(
    work: Path, stage: str, task: Mapping[str, Any], threads: int, name: str | None = None
) -> tuple[dict[str, Any], Step]:
    """A stage of a training run in a process of its own, as a cycle runs it."""
    name = name or stage
    out = work / name.replace(" ", "-")
    out.mkdir(parents=True)
    (out / "task.json").write_text(json.dumps({**task, "stage": stage, "out": str(out)}))
    began = time.monotonic()
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1"}
    log = (out / "log").open("w")
    command = [sys.executable, "-m", "trainer.stage", str(out / "task.json")]
    child = subprocess.Popen(command, env=environment, stdout=log, stderr=log)  # noqa: S603 - ours
    _, status, usage = os.wait4(child.pid, 0)
    done = read_json(out / DONE)
    if status != 0 or done is None:
        raise RuntimeError(f"{name} ended with {status}:\n{(out / 'log').read_text()[-3000:]}")
    seconds = time.monotonic() - began
    return done, Step(name, seconds, usage.ru_maxrss / _PEAK_KIBIBYTES**2, _result(done))


def _result(done: Mapping[str, Any]) -> str:
    logged = [row for row in done.get("history", []) if "loss" in row]
    if logged:
        rewards = [f"{row['reward']:.2f}" for row in logged if "reward" in row]
        losses = [f"{row['loss']:.3f}" for row in logged]
        return f"loss {', '.join(losses)}" + (f"; reward {', '.join(rewards)}" if rewards else "")
    if "largest_error" in done:
        return f"rank {done['rank']}, largest error {done['largest_error']:.0e}"
    return str(done.get("version", ""))


async def serve(work: Path, champion: Path, version: Path, threads: int) -> list[Step]:
    """One engine: the champion answers, is swapped for the new version, and that one answers."""
    first, second = open_model_folder(champion), open_model_folder(version, require_hashes=True)
    engine = LocalEngine(
        LocalOptions(
            model_folder=champion,
            served_name=first.version,
            log_file=work / "engine.log",
            threads=threads,
            kv_cache_bytes=256 * 1024 * 1024,
        ),
        start_timeout_seconds=600,
    )
    began = time.monotonic()
    await engine.start()
    try:
        while not engine.state().ready:
            if engine.state().status is EngineStatus.FAILED:
                raise RuntimeError("\n".join(engine.last_lines))
            await asyncio.sleep(0.2)
        steps = [Step("start", time.monotonic() - began, _peak(engine), "ready")]
        steps += [await _ask(engine, first, use_lines=lines) for lines in (True, False)]
        began = time.monotonic()
        await engine.reload(second, smoke_test)
        steps.append(Step("swap", time.monotonic() - began, _peak(engine), second.version))
        steps.append(await _ask(engine, second, use_lines=True))
    finally:
        await engine.stop()
    return steps


async def _ask(engine: LocalEngine, model: ModelFolder, *, use_lines: bool) -> Step:
    readers = Readers(None, TypeClassifier.load(None), Calibration(), model.traits)
    extractor = Extractor(engine, readers)
    page = Page(0, draw_page(7, 463, 1013))
    began = time.monotonic()
    found: Extraction = await extractor.extract(
        ExtractRequest(b"", RECEIPT, NAMES, use_lines=use_lines),
        [page],
        lines=_lines("9.00") if use_lines else [],
    )
    seconds = time.monotonic() - began
    said = f"{found.prompt_tokens} + {found.completion_tokens} tokens, valid {found.schema_valid}"
    how = "lines and page" if use_lines else "page alone"
    return Step(f"ask, {how}", seconds, _peak(engine), said)


def _peak(engine: LocalEngine) -> float | None:
    if engine.pid is None:
        return None
    status = Path(f"/proc/{engine.pid}/status").read_text()
    peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(peak.split()[1]) / _PEAK_KIBIBYTES**2


def write_examples(work: Path) -> Path:
    """Four receipts: two with lines, two by their page alone."""
    asked = Asked(RECEIPT.select(NAMES), style=PromptStyle.DESCRIBED)
    path = work / "examples.jsonl"
    with path.open("w") as file:
        for number in range(4):
            total = f"{number + 1}.00"
            lines = _lines(total) if number % 2 == 0 else []
            record = {"merchant_name": "CORNER STORE", "total": total}
            image = work / f"page-{number}.png"
            draw_page(number, 463, 1013).save(image)
            row = {
                **make_example(asked, lines, record, source="bench").as_row(),
                "task": encode_task(Task(asked, record, tuple(lines))),
                "image_files": [str(image)],
            }
            file.write(json.dumps(row) + "\n")
    return path


def _lines(total: str) -> list[Line]:
    texts = [("CORNER STORE", 0.3), ("TOTAL", 0.1), (total, 0.7)]
    tops = (0.05, 0.4, 0.4)
    return [
        Line(text, Box(left, top, left + 0.2, top + 0.02), 0.99, 0)
        for (text, left), top in zip(texts, tops, strict=True)
    ]


def _profile(threads: int) -> dict[str, Any]:
    content = load_profile("small").model_dump(mode="json")
    content["threads"] = threads
    content["adapter"] |= {"rank": 8, "alpha": 16}
    content["sft"] |= {"epochs": 1.0, "batch": 2, "warmup_steps": 0.0}
    content["grpo"] |= {
        "generation_count": 2,
        "prompts_per_step": 2,
        "steps": 1,
        "most_completion_tokens": 24,
    }
    return content


def _size(folder: Path) -> str:
    count = (folder / "model.safetensors").stat().st_size
    return f"{count / 2 / 1e6:.1f} million parameters"


if __name__ == "__main__":
    typer.run(main)
