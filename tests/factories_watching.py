"""A real Prometheus beside a test, and the service on a real port for it to scrape."""

import math
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from api.engine.group import free_port

DEPLOY = Path(__file__).parents[1] / "deploy"
RULES = DEPLOY / "prometheus" / "rules.yaml"
# As vLLM 0.32 writes them; the service passes them on in its own scrape.
VLLM_TEXT = """\
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="docloop"} 1.0
# HELP vllm:num_requests_waiting Number of requests waiting to be processed.
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{engine="0",model_name="docloop"} 0.0
# HELP vllm:kv_cache_usage_perc KV-cache usage. 1 means 100 percent usage.
# TYPE vllm:kv_cache_usage_perc gauge
vllm:kv_cache_usage_perc{engine="0",model_name="docloop"} 0.25
# HELP vllm:prompt_tokens_total Number of prefill tokens processed.
# TYPE vllm:prompt_tokens_total counter
vllm:prompt_tokens_total{engine="0",model_name="docloop"} 700.0
# HELP vllm:generation_tokens_total Number of generation tokens processed.
# TYPE vllm:generation_tokens_total counter
vllm:generation_tokens_total{engine="0",model_name="docloop"} 90.0
"""


def needs(program: str) -> str:
    """The program's path; the test is skipped where it is not installed."""
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not installed (Debian's package `prometheus` has it)")
    return found


class Prometheus:
    """One that runs.

    Args:
        address: of its HTTP API.
    """

    def __init__(self, address: str) -> None:
        self._http = httpx.Client(base_url=address, timeout=10)

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Samples of an instant query that are numbers."""
        answer = self._http.get("/api/v1/query", params={"query": expression}).json()
        assert answer["status"] == "success", (expression, answer)
        found = answer["data"]["result"]
        if answer["data"]["resultType"] == "scalar":
            found = [{"metric": {}, "value": found}]
        return [row for row in found if not math.isnan(float(row["value"][1]))]

    def ready(self) -> bool:
        """Whether it answers."""
        try:
            return self._http.get("/-/ready").is_success
        except httpx.TransportError:
            return False

    def wait_until_scraping(self, count: int, seconds: float = 30.0) -> None:
        """Returns when so many targets answer; Prometheus begins some seconds after its start."""
        deadline = time.monotonic() + seconds
        while len(self.query("up == 1")) < count:
            assert time.monotonic() < deadline, self.query("up")
            time.sleep(0.1)

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()


@contextmanager
def prometheus(folder: Path, targets: dict[str, int]) -> Iterator[Prometheus]:
    """A Prometheus with our rules that scrapes these ports twice a second.

    Args:
        folder: for its configuration and data.
        targets: job -> port.
    """
    program = needs("prometheus")
    config = {
        "global": {"scrape_interval": "500ms", "evaluation_interval": "500ms"},
        "rule_files": [str(RULES)],
        "scrape_configs": [
            {"job_name": job, "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}
            for job, port in targets.items()
        ],
    }
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(config))
    port = free_port()
    command = [
        program,
        f"--config.file={folder / 'prometheus.yaml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
    ]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)  # noqa: S603 - as installed
    found = Prometheus(f"http://127.0.0.1:{port}")
    try:
        deadline = time.monotonic() + 20
        while not found.ready():
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield found
    finally:
        found.close()
        process.terminate()
        process.wait(10)


def alerts() -> dict[str, dict[str, Any]]:
    """Name -> rule, of every alert."""
    return {rule["alert"]: rule for rule in _rules() if "alert" in rule}


def records() -> dict[str, str]:
    """Name -> expression, of every recording rule."""
    return {rule["record"]: rule["expr"] for rule in _rules() if "record" in rule}


def _rules() -> list[dict[str, Any]]:
    return [
        rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]
    ]


def unfiltered(expression: str) -> str:
    """The expression with comparisons that answer 0 or 1 where they would drop a sample.

    Only those outside of brackets: a filter within a sum is part of the figure.
    """
    depth, out = 0, []
    for part in re.split(r"([()]|(?<= )(?:>=|<=|==|!=|>|<)(?= ))", expression):
        depth += (part == "(") - (part == ")")
        comparison = depth == 0 and part in {">=", "<=", "==", "!=", ">", "<"}
        out.append(f"{part} bool" if comparison else part)
    return "".join(out)
