"""What corrections of real receipts are worth: a cycle after each of 50, 100, 200 and 400.

    python bench/learning_curve.py FOLDER [--sizes 50,100,200,400] [--work build/learning-curve]

FOLDER holds SROIE's `receipts.jsonl` and images. The first champion has seen generated receipts
alone (it is trained here, once). Receipts 000-399 go through `/extract` and are corrected through
`/feedback` with the task's answers; after each size `docloop train` runs a cycle; then the champion
of before, the SFT adapter, the first GRPO run and the soup answer receipts 400-499 with the serving
code. No cycle has seen these, and nothing was chosen by them. What is done is kept in --work:
started again it goes on.
"""

import argparse
import asyncio
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

from accuracy import FIELDS, mean, post, read_rows
from plots import plot_curve
from rich.console import Console
from rich.table import Table
from running_service import KEY, RunningService
from sqlalchemy.ext.asyncio import AsyncSession

from db.opening import open_database
from db.queries.evaluations import list_evaluations
from db.queries.runs import list_runs
from db.tables import Prediction
from extraction.scoring import sroie_score
from extraction.tower_reader import TOWER
from trainer.evaluate import EvaluationItem, evaluate
from trainer.settings import TrainerSettings
from trainer.significance import bootstrap_mean

TEST = "sroie-test"
TEST_SPLIT = range(400, 500)
SHIPPED = Path("models/default")
FORM = {"document_type": "receipt", "fields": ",".join(FIELDS.values())}
_NAMES = {"champion": "champion before", "sft": "SFT", "ingredient": "SFT + GRPO", "soup": "soup"}
console = Console(stderr=True)


def make_base(work: Path, threads: int) -> Path:
    """The model folder of a champion whose decoder has seen no real receipt; its tower has."""
    folder = work / "model"
    if (folder / "docloop.json").is_file():
        return folder
    from trainer.default_model.assemble import SERVING_FILES, assemble, install_seeing
    from trainer.default_model.dataset import Mix, build_examples, generate
    from trainer.default_model.train import Recipe, train

    mix = Mix(
        sroie=0,
        receipts=360,
        passports=0,
        four_of_generated=0.75,
        partial_receipts=0.25,
        renamed=0.0,
        reasoning=0.0,
        entity_tokens=0.0,
    )
    generated = generate(mix, work / "generated.jsonl", seed=17, threads=threads)
    examples = build_examples(mix, [], generated, random.Random(17))
    recipe = Recipe(seed=17, threads=threads, save_steps=15, warmup_steps=8)
    train(examples, recipe, work / "base", SHIPPED / TOWER)
    shutil.copytree(SHIPPED / TOWER, work / "base" / TOWER, dirs_exist_ok=True)
    install_seeing(work / "base", work / "adapter")
    for name in SERVING_FILES:
        shutil.copyfile(SHIPPED / name, work / "adapter" / name)
    assemble(work / "adapter", folder)
    card = json.loads((folder / "docloop.json").read_text())
    card["capitals"] = False  # of generated receipts people copy what is printed
    (folder / "docloop.json").write_text(json.dumps(card, indent=1) + "\n")
    return folder


class Curve:
    """The experiment with its state on disk.

    Args:
        receipts: SROIE's folder.
        work: where all of it is kept.
        profile: of the cycles, a TOML file.
        concurrency: requests at a time.
    """

    def __init__(self, receipts: Path, work: Path, profile: Path, concurrency: int) -> None:
        self.receipts, self.work, self.profile = receipts, work.resolve(), profile.resolve()
        self.rows = read_rows(receipts / "receipts.jsonl", None)
        self.state_file = self.work / "state.json"
        self.state: dict[str, Any] = {
            "predictions": {},
            "corrected": [],
            "cycles": {},
            "scores": {},
        }
        if self.state_file.exists():
            self.state |= json.loads(self.state_file.read_text())
        self.slots = asyncio.Semaphore(concurrency)

    async def run(self, sizes: Sequence[int], threads: int) -> dict[str, Any]:
        """All sizes, one after the other."""
        model = make_base(self.work, threads)
        service = RunningService(self.work / "data", model)
        for size in sizes:
            if str(size) in self.state["cycles"]:
                continue
            service.start()
            await service.wait_ready()
            try:
                await self._send(service, [*TEST_SPLIT, *range(size)])
                await self._correct(service, range(size))
                console.print(f"{size} receipts corrected; training")
                await asyncio.to_thread(self._train)
            finally:
                service.stop()
            self.state["cycles"][str(size)] = await self._measure()
            self._keep()
            self.show()
        return self.show()

    async def _send(self, service: RunningService, positions: Sequence[int]) -> None:
        """Each receipt through `/extract`, once."""
        missing = [p for p in positions if str(p) not in self.state["predictions"]]
        async with service.client(900.0) as client:

            async def one(position: int) -> None:
                async with self.slots:
                    answer = await post(client, self.receipts / self.rows[position]["image"], FORM)
                if answer.get("state") == "done":
                    self.state["predictions"][str(position)] = answer["id"]
                    if len(self.state["predictions"]) % 20 == 0:
                        console.print(f"{len(self.state['predictions'])} receipts sent")
                        self._keep()

            await asyncio.gather(*(one(position) for position in missing))
        self._keep()

    async def _correct(self, service: RunningService, positions: Sequence[int]) -> None:
        """Each with the task's answers, as a clerk would give them."""
        async with service.client() as client:
            for position in positions:
                prediction_id = self.state["predictions"].get(str(position))
                if prediction_id is None or position in self.state["corrected"]:
                    continue
                truth = self.rows[position]["fields"]
                record = {FIELDS[name]: text for name, text in truth.items() if text}
                body = {
                    "prediction_id": prediction_id,
                    "verdict": "corrected",
                    "record": record,
                    "reviewer": "sroie",
                }
                response = await client.post("/feedback", json=body)
                if response.is_error:
                    console.print(f"{position}: {response.status_code} {response.text[:200]}")
                self.state["corrected"].append(position)
        self._keep()

    def _train(self) -> None:
        command = [sys.executable, "-m", "api.cli", "train", "--yes"]
        subprocess.run(  # noqa: S603 - our own program
            [*command, "--profile", str(self.profile)],
            env={**os.environ, **self._environment()},
            check=True,
        )

    async def _measure(self) -> dict[str, Any]:
        """The run's versions on the receipts that nothing was chosen by."""
        os.environ.update(self._environment())
        async with open_database(TrainerSettings()) as database:
            async with database.sessions() as session:
                run = (await list_runs(session, limit=1))[0]
                documents = await self._documents(session)
            metrics = run.metrics or {}
            names = {"champion": str(run.champion_id), **_measured(metrics["versions"])}
            known = self.state["scores"]
            scored = await evaluate(
                database.sessions,
                run.id,
                [version for version in dict.fromkeys(names.values()) if version not in known],
                [self._item(position, *found) for position, found in documents.items()],
                log_file=self.work / "evaluate.log",
                report=lambda done, asked: console.print(f"{done} of {asked} test answers"),
            )
            console.print(f"{len(scored)} versions measured")
            async with database.sessions() as session:
                for version in {version for version, _ in scored}:
                    rows = await list_evaluations(
                        session, run.id, set_name=TEST, model_version=version
                    )
                    known[version] = self._scores(documents, rows)
        return {
            "run": str(run.id),
            "promoted": metrics["promoted"],
            "chosen": next((n for n, v in names.items() if v == run.candidate_id), None),
            "seconds": metrics["seconds"],
            "scores": {name: known[version] for name, version in names.items()},
        }

    async def _documents(self, session: AsyncSession) -> dict[int, tuple[UUID, UUID]]:
        """Position of each test receipt that was read -> its tenant and document."""
        found = {}
        for position in TEST_SPLIT:
            if (said := self.state["predictions"].get(str(position))) is not None:
                prediction = await session.get_one(Prediction, UUID(said))
                found[position] = (prediction.tenant_id, prediction.document_id)
        return found

    def _item(self, position: int, tenant_id: UUID, document_id: UUID) -> EvaluationItem:
        truth = self.rows[position]["fields"]
        return EvaluationItem(
            set_name=TEST,
            tenant_id=tenant_id,
            document_id=document_id,
            document_type="receipt",
            reference={FIELDS[name]: text for name, text in truth.items() if text},
            asked_fields=tuple(FIELDS.values()),
        )

    def _scores(
        self, documents: Mapping[int, tuple[UUID, UUID]], rows: Sequence[Any]
    ) -> dict[str, list[float]]:
        """Field -> score of each receipt, 0 to 100, as `bench/accuracy.py` counts."""
        answers = {row.document_id: row.fields or {} for row in rows}
        found: dict[str, list[float]] = {name: [] for name in (*FIELDS, "overall")}
        for position in TEST_SPLIT:
            _, document_id = documents.get(position, (None, None))
            read = answers.get(document_id, {})
            texts = {task: (read.get(name) or {}).get("raw") for task, name in FIELDS.items()}
            for name, score in sroie_score(self.rows[position]["fields"], texts).items():
                found[name].append(score)
        return found

    def _environment(self) -> dict[str, str]:
        return {
            "DOCLOOP_DATA_DIR": str(self.work / "data"),
            "DOCLOOP_MODEL_DIR": str(self.work / "model"),
            "DOCLOOP_API_KEY": KEY,
        }

    def _keep(self) -> None:
        partial = self.state_file.with_suffix(".partial")
        partial.write_text(json.dumps(self.state))
        partial.replace(self.state_file)

    def show(self) -> dict[str, Any]:
        """The table and the plot of what there is so far."""
        table = Table("receipts", "model", *FIELDS, "overall", "went on")
        lines: dict[str, list[dict[str, Any]]] = {}
        for size, cycle in sorted(self.state["cycles"].items(), key=lambda item: int(item[0])):
            for name, scores in cycle["scores"].items():
                means = [f"{mean(scores[field]):.1f}" for field in (*FIELDS, "overall")]
                mark = "promoted" if cycle["promoted"] else "chosen"
                table.add_row(size, name, *means, mark if name == cycle["chosen"] else "")
                label = _label(name)
                lines.setdefault(label, []).append(_point(int(size), scores["overall"]))
        Console().print(table)
        result = {"title": "SROIE receipts 400-499 after each cycle", "lines": _merged(lines)}
        (self.work / "curve.json").write_text(json.dumps(result, indent=1))
        if lines:
            plot_curve(result, self.work / "learning-curve")
        return result


def _measured(versions: Mapping[str, str]) -> dict[str, str]:
    """Of several GRPO runs the first, so that a cycle is measured in minutes; SFT; every soup."""
    return {
        name: v for name, v in versions.items() if not name.startswith("grpo-") or name == "grpo-0"
    }


def _label(name: str) -> str:
    if name.startswith("grpo"):
        return _NAMES["ingredient"]
    return _NAMES["soup" if name.startswith("soup") else name]


def _point(size: int, scores: Sequence[float]) -> dict[str, Any]:
    found = bootstrap_mean(
        [score / 100 for score in scores], confidence=0.95, resamples=4000, seed=0
    )
    return {"receipts": size, "score": found.value, "low": found.low, "high": found.high}


def _merged(lines: dict[str, list[dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    """Several GRPO runs of one size as their mean."""
    merged = {}
    for label, points in lines.items():
        by_size: dict[int, list[dict[str, Any]]] = {}
        for point in points:
            by_size.setdefault(point["receipts"], []).append(point)
        merged[label] = [
            {
                "receipts": size,
                **{key: mean([p[key] for p in found]) for key in ("score", "low", "high")},
            }
            for size, found in sorted(by_size.items())
        ]
    return merged


def main() -> int:
    """Parses the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sizes", default="50,100,200,400")
    parser.add_argument("--work", type=Path, default=Path("build/learning-curve"))
    parser.add_argument("--profile", type=Path, default=Path("bench/learning_curve.toml"))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--concurrency", type=int, default=4)
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    curve = Curve(arguments.folder, arguments.work, arguments.profile, arguments.concurrency)
    sizes = [int(size) for size in arguments.sizes.split(",")]
    asyncio.run(curve.run(sizes, arguments.threads))
    return 0


if __name__ == "__main__":
    sys.exit(main())
