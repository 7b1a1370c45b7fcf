"""What can be said of the deployment files without a container engine."""

import json
import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from api.engine.options import LocalOptions
from api.settings import CLIENT_NAMES, Settings, variable_names

DEPLOY = Path(__file__).parents[2] / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
NOT_FOR_KUBERNETES = {"kustomization.yaml", "prometheus-adapter.yaml"}
KNOWN = CLIENT_NAMES | {
    name for field, info in Settings.model_fields.items() for name in variable_names(field, info)
}


def objects() -> Iterator[dict[str, Any]]:
    for path in sorted((DEPLOY / "kubernetes").glob("*.yaml")):
        if path.name not in NOT_FOR_KUBERNETES:
            yield from filter(None, yaml.safe_load_all(path.read_text()))


def pods() -> dict[str, dict[str, Any]]:
    """Name -> pod specification, of everything that runs."""
    found = {}
    for one in objects():
        if one["kind"] in {"Deployment", "StatefulSet"}:
            found[one["metadata"]["name"]] = one["spec"]["template"]
        elif one["kind"] == "CronJob":
            template = one["spec"]["jobTemplate"]["spec"]["template"]
            found[one["metadata"]["name"]] = template
    return found


def policies() -> dict[str, dict[str, Any]]:
    return {
        one["metadata"]["name"]: one["spec"] for one in objects() if one["kind"] == "NetworkPolicy"
    }


def test_compose_follows_its_specification() -> None:
    checker = Path(sys.executable).with_name("check-jsonschema")
    if not checker.exists():
        pytest.skip("check-jsonschema is not installed")
    command = [checker, "--builtin-schema", "vendor.compose-spec", DEPLOY / "compose.yaml"]
    done = subprocess.run(  # noqa: S603 - a tool of ours
        [str(part) for part in command], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_kubernetes_objects_follow_its_schemas() -> None:
    validate = pytest.importorskip("kubernetes_validate")
    for one in objects():
        validate.validate(one, "1.37", strict=True)


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_containers_can_do_little(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert str(service["user"]).split(":")[0] not in {"0", "root"}
    assert "healthcheck" in service
    assert not service.get("privileged")


@pytest.mark.parametrize("name", sorted(pods()))
def test_pods_can_do_little(name: str) -> None:
    spec = pods()[name]["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] > 0
    for container in spec["containers"]:
        allowed = container["securityContext"]
        assert allowed["readOnlyRootFilesystem"] is True
        assert allowed["allowPrivilegeEscalation"] is False
        assert allowed["capabilities"] == {"drop": ["ALL"]}
        assert "memory" in container["resources"]["limits"]
        names = {volume["name"] for volume in spec["volumes"]}
        for claim in ("database",):
            names |= {claim} if name == "postgres" else set()
        assert {mount["name"] for mount in container["volumeMounts"]} <= names


@pytest.mark.parametrize("name", ["api", "worker", "vllm", "postgres"])
def test_pods_are_probed(name: str) -> None:
    (container,) = pods()[name]["spec"]["containers"]
    assert {"startupProbe", "livenessProbe"} <= set(container)


def test_the_model_server_is_private() -> None:
    vllm = SERVICES["vllm"]
    assert "ports" not in vllm
    assert vllm["networks"] == ["engine"]
    assert COMPOSE["networks"]["engine"]["internal"] is True
    users = {name for name, service in SERVICES.items() if "engine" in service["networks"]}
    assert users == {"api", "worker", "vllm"}
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert all(port.startswith("127.0.0.1:") for port in published)
    # Kubernetes: all is denied, and only pods with the label are let through, both ways.
    rules = policies()
    assert rules["deny-all"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    label = {"matchLabels": {"docloop/engine": "yes"}}
    assert rules["vllm"]["ingress"] == [
        {"from": [{"podSelector": label}], "ports": [{"protocol": "TCP", "port": 8000}]}
    ]
    assert rules["to-vllm"]["podSelector"] == label
    labelled = {
        name for name, pod in pods().items() if pod["metadata"]["labels"].get("docloop/engine")
    }
    assert labelled == {"api", "worker"}
    services = {one["metadata"]["name"]: one for one in objects() if one["kind"] == "Service"}
    assert services["vllm"]["spec"]["clusterIP"] == "None"
    assert not [one for one in objects() if one["kind"] == "Ingress"]


# Of a server on the API's own machine: where it listens, what it serves, how large it may become,
# and what needs our own code in its process.
_LOCAL_ALONE = {
    *("--model", "--served-model-name", "--host", "--port", "--dtype", "--max-num-seqs"),
    *("--enforce-eager", "--kv-cache-memory-bytes", "--middleware", "--worker-extension-cls"),
}


def flags(words: list[str]) -> dict[str, Any]:
    """Option -> value, as JSON where it is some; however it is spelled."""
    found: dict[str, Any] = {}
    name = ""
    for word in words:
        if word.startswith("--"):
            name, _, value = word.partition("=")
            found[name] = value
        else:
            found[name] = word
    return {
        name: json.loads(value) if value.startswith("{") else value for name, value in found.items()
    }


def test_the_model_server_is_started_as_our_own_is() -> None:
    options = LocalOptions(Path("/models/base"), "base", Path("log"), max_lora_rank=256)
    on_gpu = replace(options, enable_lora=True, on_cpu=False)
    (_python, _m, _module, *words) = on_gpu.arguments(8000)
    ours = {name: value for name, value in flags(words).items() if name not in _LOCAL_ALONE}
    composed = flags(SERVICES["vllm"]["command"])
    assert {name: composed.get(name) for name in ours} == ours
    (container,) = pods()["vllm"]["spec"]["containers"]
    in_kubernetes = flags(container["args"])
    assert in_kubernetes.pop("--served-model-name") == "$(DOCLOOP_MODEL_VERSION)"
    assert composed.pop("--served-model-name") == "${DOCLOOP_MODEL_VERSION:-base}"
    assert in_kubernetes == composed


def test_services_disruption_budgets_and_the_autoscaler_name_what_is_there() -> None:
    running = pods()
    for one in objects():
        name = one["metadata"]["name"]
        if one["kind"] == "Service":
            selected = one["spec"]["selector"]
        elif one["kind"] == "PodDisruptionBudget":
            selected = one["spec"]["selector"]["matchLabels"]
        elif one["kind"] == "HorizontalPodAutoscaler":
            assert one["spec"]["scaleTargetRef"]["name"] in running
            (metric,) = one["spec"]["metrics"]
            assert metric["pods"]["metric"]["name"] == "docloop_queue_depth"
            continue
        else:
            continue
        labels = running[name]["metadata"]["labels"]
        assert selected.items() <= labels.items(), (one["kind"], name)
    budgets = {one["metadata"]["name"] for one in objects() if one["kind"] == "PodDisruptionBudget"}
    assert budgets == {"api", "vllm"}


def test_every_object_is_in_the_kustomization() -> None:
    listed = set(
        yaml.safe_load((DEPLOY / "kubernetes" / "kustomization.yaml").read_text())["resources"]
    )
    there = {path.name for path in (DEPLOY / "kubernetes").glob("*.yaml")}
    assert listed == there - NOT_FOR_KUBERNETES


def test_every_setting_is_one() -> None:
    config = next(
        one for one in objects() if one["metadata"]["name"] == "docloop" and "data" in one
    )
    named = {*config["data"], *SERVICES["api"]["environment"], *SERVICES["worker"]["environment"]}
    named |= set(re.findall(r"DOCLOOP_[A-Z_]+", (DEPLOY / "with-secrets.sh").read_text()))
    assert {name for name in named if name.startswith("DOCLOOP_")} <= KNOWN


def test_every_file_that_is_mounted_is_there() -> None:
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            if volume.startswith("./"):
                assert (DEPLOY / volume.split(":")[0]).exists(), volume


def test_kubectl_puts_all_of_it_together() -> None:
    program = shutil.which("kubectl")
    if program is None:
        pytest.skip("kubectl is not installed")
    done = subprocess.run(  # noqa: S603 - needs no cluster
        [program, "kustomize", str(DEPLOY / "kubernetes")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    made = [one for one in yaml.safe_load_all(done.stdout) if one]
    names = {(one["kind"], one["metadata"]["name"]) for one in objects()}
    assert {(one["kind"], one["metadata"]["name"]) for one in made} >= names


def test_both_have_the_same_script() -> None:
    script = next(one for one in objects() if one["metadata"]["name"] == "with-secrets")
    assert script["data"]["with-secrets.sh"] == (DEPLOY / "with-secrets.sh").read_text()


def test_secrets_are_made_once_and_reach_the_program(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    make = [str(DEPLOY / "make-secrets.sh"), str(folder)]
    subprocess.run(make, check=True, capture_output=True)  # noqa: S603 - our own script
    first = {path.name: path.read_text() for path in folder.iterdir()}
    subprocess.run(make, check=True, capture_output=True)  # noqa: S603 - our own script
    assert {path.name: path.read_text() for path in folder.iterdir()} == first
    assert set(first) == set(COMPOSE["secrets"])
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    code = (
        "from api.settings import Settings; s = Settings(_env_file=None); "
        "print(len(s.blob_key_bytes), s.api_key.get_secret_value(), "
        "s.database_url.get_secret_value())"
    )
    environment = {**os.environ, "SECRETS_DIR": str(folder)}
    done = subprocess.run(  # noqa: S603 - our own script
        [str(DEPLOY / "with-secrets.sh"), sys.executable, "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        cwd=DEPLOY.parent,
    )
    password = first["database_password"]
    assert done.stdout.split() == [
        "32",
        first["api_key"],
        f"postgresql://docloop:{password}@postgres/docloop",
    ]


def test_no_secret_stands_in_a_file() -> None:
    told = "".join(path.read_text() for path in DEPLOY.rglob("*.yaml"))
    assert not re.findall(r"(?i)(?:password|api_key|secret)\s*[:=]\s*[A-Za-z0-9/+]{12,}", told)
    assert "deploy/secrets/" in (DEPLOY.parent / ".gitignore").read_text()
