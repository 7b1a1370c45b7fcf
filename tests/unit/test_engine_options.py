import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from api.engine.drafter import AnswerDrafter
from api.engine.options import LocalOptions
from api.engine.worker import SwapWorker
from extraction.model_folder import BadModelFolder, ModelFolder
from extraction.traits import ModelTraits


def model(version: str, form: str = "merged", base: str = "") -> ModelFolder:
    return ModelFolder(
        version,
        Path("/versions") / version,
        "adapter" if form == "adapter" else "merged",
        ModelTraits(version),
        None,
        base,
    )


def options(tmp_path: Path) -> LocalOptions:
    return LocalOptions(Path("/base"), "base-1", tmp_path / "e.log")


def after(arguments: list[str], name: str) -> str:
    return arguments[arguments.index(name) + 1]


def test_the_server_never_says_which_version_it_has(tmp_path: Path) -> None:
    arguments = options(tmp_path).serving(model("b-2")).arguments(8001)
    assert after(arguments, "--model") == "/versions/b-2"
    assert after(arguments, "--served-model-name") == "docloop"
    assert "--enable-lora" not in arguments
    assert "VLLM_ALLOW_RUNTIME_LORA_UPDATING" not in options(tmp_path).environment("key")


def test_an_adapter_is_there_from_the_start(tmp_path: Path) -> None:
    served = options(tmp_path).serving(model("x-5", "adapter", "base-1"), model("base-1"))
    assert (served.model_folder, served.served_name) == (Path("/versions/base-1"), "base-1")
    arguments = served.arguments(8001)
    assert "--enable-lora" in arguments
    assert json.loads(after(arguments, "--lora-modules")) == {
        "name": "x-5",
        "path": "/versions/x-5/adapter",
    }
    assert after(arguments, "--max-lora-rank") == "64"
    assert served.environment("key")["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] == "True"
    assert served.serving(model("b-2")).adapters == ()


@pytest.mark.parametrize("base", [None, model("base-2"), model("base-1", "adapter", "x")])
def test_an_adapter_of_another_base_is_refused(tmp_path: Path, base: ModelFolder | None) -> None:
    with pytest.raises(BadModelFolder, match="for base-1"):
        options(tmp_path).serving(model("x-5", "adapter", "base-1"), base)


def test_answers_are_guessed_ahead_on_a_cpu(tmp_path: Path) -> None:
    on_cpu = replace(options(tmp_path), on_cpu=True)
    assert json.loads(after(on_cpu.arguments(1), "--speculative-config")) == {
        "method": "custom_class",
        "model": f"{AnswerDrafter.__module__}.{AnswerDrafter.__name__}",
        "num_speculative_tokens": 8,
    }
    on_gpu = replace(on_cpu, on_cpu=False)
    of_theirs = replace(on_cpu, extra_arguments=("--speculative-config.method", "ngram"))
    for none in (replace(on_cpu, draft_tokens=0), on_gpu):
        assert "--speculative-config" not in none.arguments(1)
    assert "--speculative-config" not in of_theirs.arguments(1)
    told = replace(on_gpu, draft_tokens=4).arguments(1)
    assert json.loads(after(told, "--speculative-config"))["num_speculative_tokens"] == 4


def test_only_tied_layers_are_packed_anew() -> None:
    packed: list[object] = []
    method = SimpleNamespace(process_weights_after_loading=packed.append)
    head = SimpleNamespace(cpu_linear=print, org_vocab_size=9, quant_method=method)
    linear = SimpleNamespace(cpu_linear=print, quant_method=method)
    on_gpu = SimpleNamespace(org_vocab_size=9, quant_method=method)
    worker = SwapWorker()
    modules = SimpleNamespace(modules=lambda: [head, linear, on_gpu])
    worker.model_runner = SimpleNamespace(get_model=lambda: modules)
    assert worker.pack_tied_weights() == 1
    assert packed == [head]
