import re
from dataclasses import replace
from typing import Any

import pytest

from api.metrics import CUSTOM, OTHER, Metrics
from extraction.checks import Check, Verdict
from extraction.document_types.catalogue import BUILT_IN
from extraction.evidence import ReadField, Source
from extraction.extract import Extraction
from tests.fakes import FakeEngine


def make_extraction(**changes: Any) -> Extraction:
    field = ReadField("total", "9.00", "RM9.00", 0.97, None, Source.MODEL)
    extraction = Extraction(
        document_type="receipt",
        document_type_version=1,
        type_confidence=1.0,
        record={"total": "9.00"},
        fields={"total": field},
        checks=(Check("total_identity", Verdict.PASS, "", ("total",)),),
        warnings=(),
        reasoning=None,
        entity_tokens=None,
        schema_valid=True,
        model_version="v-1",
        prompt_hash="p",
        finish_reason="stop",
        prompt_tokens=400,
        completion_tokens=60,
        timings_seconds={"decode": 0.1, "lines": 1.0, "engine": 2.0, "invented": 1.0},
    )
    return replace(extraction, **changes)


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def test_an_extraction_is_counted() -> None:
    metrics = Metrics(BUILT_IN)
    metrics.observe_extraction(make_extraction())
    assert value(metrics, "docloop_tokens_total", kind="prompt") == 400
    assert value(metrics, "docloop_stage_seconds_sum", stage="lines") == 1.0
    assert value(metrics, "docloop_stage_seconds_count", stage=OTHER) == 1
    labels = {"document_type": "receipt"}
    assert value(metrics, "docloop_answers_total", **labels, schema_valid="true") == 1
    assert value(metrics, "docloop_field_confidence_bucket", **labels, le="0.99") == 1
    assert value(metrics, "docloop_field_confidence_bucket", **labels, le="0.95") == 0
    found = value(metrics, "docloop_checks_total", **labels, check="total_identity", verdict="pass")
    assert found == 1


def test_what_a_caller_names_makes_no_series() -> None:
    metrics = Metrics(BUILT_IN)
    for number in range(50):
        check = Check(f"rule {number}", Verdict.FAIL, "", ())
        metrics.observe_extraction(make_extraction(document_type=f"own-{number}", checks=(check,)))
        metrics.count_prediction(f"own-{number}", "done")
        metrics.count_correction(f"own-{number}", f"field {number}", "v-1")
        metrics.count_correction("receipt", f"items.{number}.total_price", "v-1")
        metrics.count_correction("receipt", f"invented-{number}", "v-1")
        metrics.count_request(f"METHOD{number}", "unmatched", 404, 0.1)
    custom = {"document_type": CUSTOM}
    found = value(metrics, "docloop_checks_total", **custom, check=CUSTOM, verdict="fail")
    assert found == 50
    assert value(metrics, "docloop_predictions_total", **custom, state="done") == 50
    receipt = {"document_type": "receipt", "model_version": "v-1"}
    items = value(metrics, "docloop_corrections_total", **receipt, field="items.*.total_price")
    assert items == 50
    assert value(metrics, "docloop_corrections_total", **receipt, field=CUSTOM) == 50
    unmatched = {"method": "OTHER", "route": "unmatched", "status": "404"}
    assert value(metrics, "docloop_requests_total", **unmatched) == 50


def test_model_versions_and_check_names_have_a_bound() -> None:
    metrics = Metrics(BUILT_IN)
    for number in range(200):
        metrics.count_correction("receipt", "total", f"v-{number}")
        check = Check(f"check-{number}", Verdict.PASS, "", ())
        metrics.observe_extraction(make_extraction(checks=(check,)))
    receipt = {"document_type": "receipt"}
    found = value(
        metrics, "docloop_corrections_total", **receipt, field="total", model_version=OTHER
    )
    assert found == 100
    assert value(metrics, "docloop_checks_total", **receipt, check=OTHER, verdict="pass") == 136


@pytest.mark.parametrize(
    ("path", "label"),
    [
        ("total", "total"),
        ("items.3.total_price", "items.*.total_price"),
        ("items.x.total_price", CUSTOM),
        ("nothing", CUSTOM),
    ],
)
def test_field_labels(path: str, label: str) -> None:
    assert Metrics(BUILT_IN).field_label("receipt", path) == label


async def test_a_scrape_has_the_engine_and_its_own_families() -> None:
    engine = FakeEngine()
    engine.metrics = (
        "# HELP vllm:requests Requests.\n# TYPE vllm:requests gauge\nvllm:requests 3.0\n"
        "# HELP process_cpu_seconds_total Not ours.\nprocess_cpu_seconds_total 1.0\n"
    )
    metrics = Metrics(BUILT_IN)
    metrics.watch(engine=engine, waiting=lambda: 4, running=lambda: 2)
    metrics.set_unfinished({"queued": 5})
    await engine.start()
    text = await metrics.render(engine)
    assert "docloop_queue_depth 4.0" in text
    assert "docloop_in_flight 2.0" in text
    assert 'docloop_engine_status{status="ready"} 1.0' in text
    assert "docloop_engine_restarts_total 0.0" in text
    assert 'docloop_model{model_version="fake-1"} 1.0' in text
    assert 'docloop_predictions_unfinished{state="queued"} 5.0' in text
    assert "vllm:requests 3.0" in text
    assert "process_cpu" not in text
    helps = re.findall(r"^# HELP (\S+)", text, re.MULTILINE)
    assert len(helps) == len(set(helps))


async def test_a_scrape_works_without_the_engine() -> None:
    class Dead(FakeEngine):
        async def metrics_text(self) -> str:
            raise OSError

    assert "docloop_requests" in await Metrics(BUILT_IN).render(Dead())


def test_two_apps_do_not_share_numbers() -> None:
    first, second = Metrics(BUILT_IN), Metrics(BUILT_IN)
    first.count_request("GET", "/models", 200, 0.1)
    labels = {"method": "GET", "route": "/models", "status": "200"}
    assert value(first, "docloop_requests_total", **labels) == 1
    assert value(second, "docloop_requests_total", **labels) is None


def test_swaps_canary_and_shadow_are_counted() -> None:
    metrics = Metrics(BUILT_IN)
    metrics.count_swap("reload", "done", 0.7)
    metrics.count_swap("none", "refused")
    metrics.set_champion(7, served=False)
    metrics.count_canary("champion")
    metrics.count_shadow("dropped")
    assert value(metrics, "docloop_swaps_total", way="reload", result="done") == 1
    assert value(metrics, "docloop_swaps_total", way="none", result="refused") == 1
    assert value(metrics, "docloop_swap_pause_seconds_sum", way="reload") == 0.7
    assert value(metrics, "docloop_swap_pause_seconds_count", way="none") is None
    assert value(metrics, "docloop_champion_generation") == 7
    assert value(metrics, "docloop_champion_served") == 0
    assert value(metrics, "docloop_canary_answers_total", answered_by="champion") == 1
    assert value(metrics, "docloop_shadow_answers_total", result="dropped") == 1
