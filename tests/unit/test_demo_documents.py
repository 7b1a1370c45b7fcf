"""The demo's tickets carry their truth, differ from each other, and its client counts honestly."""

import asyncio
import itertools
import random
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from demo import scores, swap_pause, verdict
from demo_client import ASKED, Ticket, Traffic, ask, correct, make_tickets
from plots import plot_curve, plot_demo

from extraction.human_record import validate_human_record
from extraction.pages import Page, load_pages, perceptual_hash
from extraction.scoring import score_record
from trainer.profile import load_profile
from trainer.synth.document import SyntheticDocument
from trainer.synth.tickets import TICKET_FIELDS, make_ticket

PROFILE = Path(__file__).parents[2] / "bench" / "demo.toml"


@pytest.fixture(scope="module")
def tickets() -> list[SyntheticDocument]:
    return [make_ticket(random.Random(f"test/{number}")) for number in range(60)]


def rows_of(document: SyntheticDocument) -> int:
    """Lines whose middles are more than half a line apart."""
    middles = sorted((line.box.top + line.box.bottom) / 2 for line in document.lines)
    height = float(np.median([line.box.height for line in document.lines]))
    return 1 + sum(b - a > height / 2 for a, b in itertools.pairwise(middles))


def test_the_same_seed_makes_the_same_ticket() -> None:
    first, second = make_ticket(random.Random(3)), make_ticket(random.Random(3))
    assert np.array_equal(np.asarray(first.image), np.asarray(second.image))
    assert (first.record, first.lines) == (second.record, second.lines)


def test_every_answer_is_printed_and_no_other_field_is_given(
    tickets: list[SyntheticDocument],
) -> None:
    for document in tickets:
        assert set(document.record) == set(TICKET_FIELDS)
        text = "\n".join(line.text for line in document.lines)
        assert all(raw in text for raw in document.record.values()), document.record


def test_tickets_are_short(tickets: list[SyntheticDocument]) -> None:
    assert max(map(rows_of, tickets)) <= 12


def test_boxes_lie_on_the_page(tickets: list[SyntheticDocument]) -> None:
    for document in tickets:
        for line in document.lines:
            assert 0 <= line.box.left < line.box.right <= 1, line
            assert 0 <= line.box.top < line.box.bottom <= 1, line


def test_many_tickets_print_a_total_that_is_none(
    tickets: list[SyntheticDocument],
) -> None:
    misled = 0
    for document in tickets:
        texts = " ".join(line.text for line in document.lines)
        misled += "TOTAL" in texts
    assert misled > len(tickets) / 3


def test_no_two_tickets_are_near_duplicates() -> None:
    hashes = [
        perceptual_hash(load_pages(ticket.content)[0]) & (2**64 - 1)
        for ticket in make_tickets("demo", 130)
    ]
    near = sum((a ^ b).bit_count() <= 4 for a, b in itertools.combinations(hashes, 2))
    assert near == 0


def test_the_truth_is_accepted_as_a_correction_and_scores_one(
    tickets: list[SyntheticDocument],
) -> None:
    for document in tickets:
        record = validate_human_record(ASKED, document.record)
        assert score_record(ASKED, document.record, record).mean == 1.0


def test_about_a_fifth_is_held_out_and_series_differ() -> None:
    demo, flow = make_tickets("demo", 130), make_tickets("flow", 5)
    assert 15 <= sum(ticket.holdout for ticket in demo) <= 40
    assert not {t.content for t in demo} & {t.content for t in flow}


def test_the_demo_profile_is_complete() -> None:
    profile = load_profile(str(PROFILE))
    assert profile.name == "demo"
    assert (profile.grpo.token_level_runs, profile.grpo.sequence_level_runs) == (1, 1)


def service(answers: list[httpx.Response], seen: list[httpx.Request]) -> httpx.AsyncClient:
    waiting = iter(answers)

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return next(waiting, httpx.Response(200, json=answered("one")))

    return httpx.AsyncClient(transport=httpx.MockTransport(answer), base_url="http://service")


def answered(version: str, **record: Any) -> dict[str, Any]:
    return {"id": "1", "record": record or {"total": "1.00"}, "model_version": version}


@pytest.fixture(scope="module")
def ticket() -> Ticket:
    return make_tickets("test", 1)[0]


async def test_traffic_counts_every_failure_and_does_not_try_again(ticket: Ticket) -> None:
    answers = [
        httpx.Response(200, json=answered("one")),
        httpx.Response(503, json={"title": "busy"}),
        httpx.Response(200, json={**answered("one"), "record": None}),
        httpx.Response(200, text="no JSON"),
        httpx.Response(200, json=answered("two")),
    ]
    async with service(answers, []) as client:
        async with Traffic(client, [ticket], 0.001) as flow:
            while flow.versions["two"] < 1:  # noqa: ASYNC110 - the client has no event to wait for
                await asyncio.sleep(0.001)
        account = flow.as_json()
    assert account["failed"] == 3
    assert account["sent"] == len(account["requests"]) >= 5
    assert account["versions"]["two"] == 1
    assert account["swap_at"] == account["requests"][4]["began"]


async def test_asking_waits_for_a_busy_service(ticket: Ticket) -> None:
    seen: list[httpx.Request] = []
    busy = httpx.Response(429, headers={"retry-after": "0"})
    async with service([busy], seen) as client:
        assert (await ask(client, ticket))["model_version"] == "one"
    assert len(seen) == 2


async def test_an_error_is_raised(ticket: Ticket) -> None:
    async with service([httpx.Response(422), httpx.Response(404)], []) as client:
        with pytest.raises(httpx.HTTPStatusError):
            await ask(client, ticket)
        with pytest.raises(httpx.HTTPStatusError):
            await correct(client, "1", ticket)


def test_the_pause_is_the_mean_of_all_ways() -> None:
    text = (
        'docloop_swap_pause_seconds_sum{way="reload"} 1.5\n'
        'docloop_swap_pause_seconds_count{way="reload"} 2.0\n'
        'docloop_swap_pause_seconds_sum{way="engine"} 0.3\n'
        'docloop_swap_pause_seconds_count{way="engine"} 1.0\n'
    )
    assert swap_pause(text) == pytest.approx(0.6)
    assert swap_pause("# nothing\n") is None


def result(**changed: Any) -> dict[str, Any]:
    def row(name: str, before: float, after: float) -> dict[str, Any]:
        ends = {"before": before, "after": after}
        return {
            "name": name,
            "documents": 20,
            **{k: {"mean": v, "low": v - 0.1, "high": v + 0.05} for k, v in ends.items()},
        }

    requests = [
        {"began": 1.0, "seconds": 2.0, "version": "one"},
        {"began": 5.0, "seconds": 1.5, "version": "two"},
        {"began": 7.0, "seconds": 1.0, "version": None},
    ]
    traffic = {"sent": 3, "failed": 0, "failures": [], "requests": requests, "swap_at": 5.0}
    made = {
        "train_status": 0,
        "candidate": "two",
        "scores": [row("holdout", 0.4, 0.9), row("total", 0.3, 0.8)],
        "traffic": traffic,
        "report": "report.html",
    }
    return made | changed


def test_a_demo_that_reaches_its_aim_misses_nothing() -> None:
    assert verdict(result()) == []


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"train_status": 3}, "ended with 3"),
        ({"candidate": None}, "no new version"),
        ({"report": None}, "no report"),
        ({"traffic": {"sent": 0, "failed": 0, "failures": []}}, "no background request"),
        ({"traffic": {"sent": 9, "failed": 1, "failures": ["503"]}}, "a request failed: 503"),
        (
            {"scores": [{"before": {"mean": 0.5}, "after": {"mean": 0.59}}]},
            "changed by +9.0 points",
        ),
    ],
)
def test_each_missed_aim_is_named(changed: dict[str, Any], words: str) -> None:
    missed = verdict(result(**changed))
    assert len(missed) == 1
    assert words in missed[0]


def test_scores_compare_the_held_out_tickets_alone() -> None:
    from demo import Story

    learned = make_tickets("demo", 12)
    story = Story(learned, learned[:2])
    wrong = {"record": {}}
    story.before = {"demo": [wrong] * 12, "fresh": [wrong] * 2}
    right = [{"record": ticket.truth} for ticket in story.holdout]
    story.after = {"holdout": right, "fresh": [wrong] * 2}
    rows = {row["name"]: row for row in scores(story)}
    assert rows["holdout"]["documents"] == len(story.holdout) > 0
    assert rows["holdout"]["before"]["mean"] == 0
    assert rows["holdout"]["after"]["mean"] == rows["total"]["after"]["mean"] == 1
    assert rows["fresh"]["after"]["mean"] == 0


def test_what_was_not_measured_has_no_score(tmp_path: Path) -> None:
    from demo import Story

    learned = make_tickets("demo", 12)
    wrong = {"record": {}}
    story = Story(learned, learned[:1], before={"demo": [wrong] * 12, "fresh": [wrong]})
    rows = scores(story)
    assert [row["after"] for row in rows] == [None] * len(rows)
    failed = result(scores=rows, candidate=None)
    assert verdict(failed) == ["no new version is served"]
    assert plot_demo(failed, tmp_path / "plot")


def test_plots_are_written_and_the_same_figures_give_the_same_picture(tmp_path: Path) -> None:
    first = plot_demo(result(), tmp_path / "a")
    second = plot_demo(result(), tmp_path / "b")
    assert [path.suffix for path in first] == [".png", ".svg"]
    assert first[1].read_text() == second[1].read_text()
    points = [{"receipts": n, "score": n / 500, "low": n / 600, "high": 0.9} for n in (50, 400)]
    curve = plot_curve({"lines": {"SFT": points, "soup": points[:1]}}, tmp_path / "c")
    assert all(path.stat().st_size > 1000 for path in curve)


def test_pages_differ_in_shape(tickets: list[SyntheticDocument]) -> None:
    shapes = Counter(round(d.image.width / d.image.height, 1) for d in tickets)
    assert len(shapes) > 8
    assert all(Page(0, d.image).size_bytes < 12_000_000 for d in tickets)
