"""A whole cycle with real training steps and the real engine; and one that is killed everywhere."""

import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest

from db.opening import open_database
from db.queries.models import get_champion, get_model, list_models
from db.queries.runs import latest_decision, list_run_examples, runs_that_saw
from db.tables import ModelState, RunState
from extraction.model_folder import open_model_folder
from tests.factories_cycle import (
    CHAMPION,
    fill,
    kill_when,
    newest_run,
    quick_profile,
    settings_of,
    start_training,
)
from trainer.stage import DONE

pytestmark = pytest.mark.timeout(900)

# What a stage leaves when it has begun; killed at that moment, it is in the middle.
STAGES = {
    "examples": "examples.jsonl",
    "sft": "sft/checkpoint-1",
    "grpo-0": "grpo-0/checkpoint-1",
    "grpo-1": "grpo-1/checkpoint-1",
    "version-sft": "version-sft/task.json",
    "selection": "evaluate.log",
    "soup": "soup-0+1/task.json",
}


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    # Not pytest's own: another run of pytest closes that to Postgres's account.
    with tempfile.TemporaryDirectory(prefix="docloop-cycle-") as made:
        yield Path(made)


@pytest.fixture(scope="module")
def undisturbed(folder: Path) -> Path:
    data = folder / "undisturbed"
    data.mkdir()
    asyncio.run(fill(data))
    process = start_training(data, quick_profile(data / "quick.toml"))
    assert process.wait(600) == 0, (data / "train.log").read_text()[-3000:]
    return data


def test_a_cycle_ends_with_a_judged_candidate_and_a_report(undisturbed: Path) -> None:
    asyncio.run(_look_at(undisturbed))


async def _look_at(data: Path) -> None:
    run = await newest_run(data)
    assert run is not None
    assert run.state is RunState.DONE
    assert run.candidate_id is not None
    settings = settings_of(data)
    folder = data / "training" / str(run.id)
    page = (folder / "report.html").read_text()
    assert run.candidate_id in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert not (folder / "examples.jsonl").exists(), (
        "the documents' text stays no longer than it must"
    )
    async with open_database(settings) as database, database.sessions() as session:
        candidate = await get_model(session, run.candidate_id)
        decision = await latest_decision(session, candidate.id)
        champion = await get_champion(session)
        examples = await list_run_examples(session, run.id)
        saw = await runs_that_saw(session, examples[0].document_id)
        models = await list_models(session)
    assert decision is not None
    assert decision.reasons
    assert decision.passed == (champion.model_version_id == candidate.id)
    assert candidate.parent_id == CHAMPION
    assert candidate.training_run_id == run.id
    assert {row.part for row in examples} == {"train", "holdout"}
    assert saw == [run.id]
    # SFT, two ingredients, and their soup; one whose rewards were all alike is the SFT model still.
    versions = (run.metrics or {})["versions"]
    assert versions.keys() == {"sft", "grpo-0", "grpo-1", "soup-0+1"}
    assert {m.id for m in models} == {CHAMPION, *versions.values()}
    left = [m for m in models if m.id not in {CHAMPION, candidate.id}]
    assert {m.state for m in left} == {ModelState.REJECTED}
    opened = open_model_folder(Path(candidate.path), expected=candidate.id, require_hashes=True)
    assert opened.version == candidate.id


def test_killed_in_every_stage_it_reaches_the_same_versions(
    undisturbed: Path, folder: Path
) -> None:
    data = folder / "killed"
    data.mkdir()
    asyncio.run(fill(data))
    profile = quick_profile(data / "quick.toml")
    training = data / "training"
    killed = []
    for stage, mark in STAGES.items():
        process = start_training(data, profile)
        if kill_when(process, lambda mark=mark: any(training.glob(f"*/{mark}")), 300):  # type: ignore[misc]
            killed.append(stage)
    assert killed == list(STAGES), (data / "train.log").read_text()[-3000:]
    assert start_training(data, profile).wait(600) == 0, (data / "train.log").read_text()[-3000:]
    runs = [path for path in training.iterdir() if path.is_dir()]
    assert len(runs) == 1, "one run from the beginning to the end"
    # The names are made of the weights' content: equal names, equal weights, bit by bit.
    assert asyncio.run(_versions(data)) == asyncio.run(_versions(undisturbed))


async def _versions(data: Path) -> dict[str, str]:
    run = await newest_run(data)
    assert run is not None
    assert run.state is RunState.DONE, run.state
    assert isinstance(run.id, UUID)
    assert (data / "training" / str(run.id) / "sft" / DONE).exists()
    return dict((run.metrics or {})["versions"])
