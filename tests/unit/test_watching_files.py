"""Rules, dashboards and runbooks agree with each other and with the code."""

import importlib
import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from api.watch_metrics import judged_fields
from tests.factories_watching import DEPLOY, RULES, alerts, needs, unfiltered

ROOT = DEPLOY.parent
TESTS = yaml.safe_load((DEPLOY / "prometheus" / "rules.test.yaml").read_text())["tests"]


def promtool(*arguments: str) -> None:
    done = subprocess.run(  # noqa: S603 - as installed
        [needs("promtool"), *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_accepts_the_configuration_and_the_rules() -> None:
    promtool("check", "config", str(DEPLOY / "prometheus" / "prometheus.yaml"))


def test_alerts_fire_where_they_should_and_nowhere_else() -> None:
    promtool("test", "rules", str(DEPLOY / "prometheus" / "rules.test.yaml"))


def test_every_alert_has_a_case_that_fires_and_one_that_does_not() -> None:
    fires: dict[bool, set[str]] = {True: set(), False: set()}
    for case in TESTS:
        for expected in case["alert_rule_test"]:
            fires[bool(expected["exp_alerts"])].add(expected["alertname"])
    assert fires[True] == fires[False] == set(alerts())


@pytest.mark.parametrize("name", sorted(alerts()))
def test_every_alert_has_a_runbook(name: str) -> None:
    rule = alerts()[name]
    assert rule["labels"]["severity"] in {"page", "ticket"}
    page = (ROOT / rule["annotations"]["runbook"]).read_text()
    assert page.startswith(f"# {name}\n")
    assert {"## What it means", "## What to do"} <= set(page.splitlines())


def test_every_runbook_belongs_to_an_alert() -> None:
    pages = {path.name for path in (ROOT / "docs" / "runbooks").glob("*.md")} - {"index.md"}
    named = {Path(rule["annotations"]["runbook"]).name for rule in alerts().values()}
    assert pages == named


def test_dashboards_are_those_that_the_script_makes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(DEPLOY / "grafana")
    module = importlib.import_module("make_dashboards")
    for path, content in module.written().items():
        assert path.read_text() == content, f"run python deploy/grafana/make_dashboards.py: {path}"


def test_every_metric_that_is_asked_for_is_one_that_the_code_has() -> None:
    source = "".join(
        path.read_text()
        for path in (
            ROOT / "api" / "metrics.py",
            ROOT / "api" / "watch_metrics.py",
            ROOT / "trainer" / "worker_metrics.py",
        )
    )
    told = set(re.findall(r'"(docloop_[a-z_]+)"', source))
    boards = [path.read_text() for path in (DEPLOY / "grafana" / "dashboards").glob("*.json")]
    asked = set(re.findall(r"docloop_[a-z_0-9]+", RULES.read_text() + "".join(boards)))
    plain = {re.sub(r"_(total|bucket|sum|count)$", "", name) for name in asked}
    assert plain <= told


def test_dashboards_are_no_wider_than_the_screen_and_do_not_overlap() -> None:
    for path in (DEPLOY / "grafana" / "dashboards").glob("*.json"):
        taken: set[tuple[int, int]] = set()
        for panel in json.loads(path.read_text())["panels"]:
            grid = panel["gridPos"]
            assert grid["x"] + grid["w"] <= 24, (path.stem, panel["title"])
            cells = {
                (x, y)
                for x in range(grid["x"], grid["x"] + grid["w"])
                for y in range(grid["y"], grid["y"] + grid["h"])
            }
            assert not cells & taken, (path.stem, panel["title"])
            taken |= cells


def test_comparisons_are_unfiltered_outside_of_brackets_only() -> None:
    assert unfiltered("a > 1 and b >= 2") == "a > bool 1 and b >= bool 2"
    assert unfiltered("sum(a == 1) < 3") == "sum(a == 1) < bool 3"


def test_fields_that_a_person_left_alone_were_right() -> None:
    fields = {
        "total": {"value": "9.00"},
        "date": {"value": "2018-12-25"},
        "items.0.price": {"value": "1.00"},
        "items.1.price": {"value": "2.00"},
        "seller.name": {"value": "A"},
        "seller.city": {"value": "B"},
    }
    assert all(judged_fields(fields, {}).values())
    record = {"total": "8.00", "items": [{"price": "1.00"}], "seller": {"name": "A"}}
    assert judged_fields(fields, record) == {
        "total": False,
        "date": True,
        "items.0.price": True,
        "items.1.price": False,
        "seller.name": True,
        "seller.city": True,
    }
