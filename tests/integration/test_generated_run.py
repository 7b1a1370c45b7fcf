"""`docloop synth train`: a run on generated documents, from texts to a version with its report."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from extraction.traits import ModelTraits
from tests.integration.test_training_stages import VERSION, profile_of
from trainer.generated_run.material import TooFewRows, Wanted
from trainer.generated_run.run import GeneratedRun, OtherRun, train_generated
from trainer.profile import Profile
from trainer.progress import Stage
from trainer.report.summary import RunSummary
from trainer.rewards import decode_task
from trainer.stage import DONE, main, read_json
from trainer.stages import Stages
from trainer.synth.pages.texts import make_text
from trainer.synth.pages.training_rows import write_texts
from trainer.synth_commands import app
from trainer.tiny_models import build_llama, write_card

WANTED = Wanted(sft=4, grpo=3, selection=2, holdout=3, most_tokens=400)


@pytest.fixture(scope="module", autouse=True)
def stages_in_this_process() -> Iterator[None]:
    """A process a stage would cost ten imports of torch; the cycle's tests have that."""

    async def execute(_stages: Stages, _shown: Stage, _kind: str, out: Path) -> None:
        await asyncio.to_thread(main, out / "task.json")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Stages, "_execute", execute)
        yield


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> GeneratedRun:
    folder = tmp_path_factory.mktemp("generated")
    write_texts((make_text(f"3/{number}", ("en",)) for number in range(14)), folder / "texts")
    model = build_llama(folder / "model")
    write_card(model, VERSION, sees_images=False)
    grpo = {"token_level_runs": 2, "sequence_level_runs": 0, "most_completion_tokens": 12}
    profile = Profile.model_validate(profile_of(grpo=grpo))
    return GeneratedRun(folder / "texts", "graph", model, WANTED, profile, folder / "out")


async def test_it_ends_with_a_version_that_writes_the_type(run: GeneratedRun) -> None:
    outcome = await train_generated(run)
    assert {"champion", "sft", "grpo-0", "grpo-1", "soup-0+1"} <= set(outcome.rewards)
    assert "graph" in outcome.report.read_text()
    if outcome.version is not None:
        traits = ModelTraits.load(outcome.version)
        assert traits is not None
        assert traits.writes("graph")
    ends = {path: path.stat().st_mtime_ns for path in run.out.glob(f"*/{DONE}")}
    assert await train_generated(run) == outcome
    assert {path: path.stat().st_mtime_ns for path in run.out.glob(f"*/{DONE}")} == ends


async def test_no_document_is_in_two_parts(run: GeneratedRun) -> None:
    await train_generated(run)
    parts = {
        path.parent.name: [json.loads(line) for line in path.read_text().splitlines()]
        for path in (run.out / "rows").glob("*/examples.jsonl")
    }
    assert {name: len(rows) for name, rows in parts.items()} == {
        "sft": 4,
        "grpo": 3,
        "selection": 2,
        "holdout": 3,
    }
    tasks = [row["task"] for rows in parts.values() for row in rows]
    assert len(set(tasks)) == len(tasks)
    assert all(decode_task(task).reference["entities"] for task in tasks)


async def test_each_answer_is_kept_with_its_rewards(run: GeneratedRun) -> None:
    outcome = await train_generated(run)
    rows = (run.out / "answers-holdout" / "sft.jsonl").read_text().splitlines()
    answers = [json.loads(row) for row in rows]
    assert len(answers) == WANTED.holdout
    mean = sum(answer["rewards"]["reward"] for answer in answers) / len(answers)
    assert outcome.rewards["sft"] == pytest.approx(mean)
    assert all({"text", "rewards"} == set(answer) for answer in answers)
    summary = RunSummary.from_json((run.out / "summary.json").read_text())
    told = {change.fields[0].before for change in (*summary.fixed, *summary.broken)}
    before = (run.out / "answers-holdout" / "champion.jsonl").read_text().splitlines()
    assert told <= {json.loads(row)["text"] for row in before}
    assert read_json(run.out / "grpo-0" / DONE) != read_json(run.out / "grpo-1" / DONE)


async def test_a_folder_of_another_run_is_not_taken_over(run: GeneratedRun) -> None:
    await train_generated(run)
    other = GeneratedRun(
        run.source, "graph", run.model, Wanted(4, 3, 2, 2, 400), run.profile, run.out
    )
    with pytest.raises(OtherRun, match="another folder"):
        await train_generated(other)


async def test_too_few_documents_are_named(run: GeneratedRun, tmp_path: Path) -> None:
    wanted = Wanted(sft=40, grpo=3, selection=2, holdout=3, most_tokens=400)
    greedy = GeneratedRun(run.source, "graph", run.model, wanted, run.profile, tmp_path)
    with pytest.raises(TooFewRows, match=r"14 documents .* 48 are asked for"):
        await train_generated(greedy)


@pytest.mark.parametrize(
    ("wishes", "said"),
    [
        (["--type", "receipt"], "there are document, graph"),
        (["--type", "graph", "--sft", "100"], "generate more, ask for fewer"),
        (["--type", "document"], "holds no shards of pages"),
    ],
)
def test_the_command_names_what_to_change(
    run: GeneratedRun, tmp_path: Path, wishes: list[str], said: str
) -> None:
    found = CliRunner().invoke(
        app, ["train", str(run.source), *wishes, "--out", str(tmp_path), "--model", str(run.model)]
    )
    assert found.exit_code == 2
    assert said in " ".join(found.output.split())
