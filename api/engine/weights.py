"""Other weights for a server that runs, as vLLM 0.32 takes them over HTTP.

These commands ask for no key of their own; `guard.py` keeps them to us.
"""

from pathlib import Path

from api.engine.client import ChatClient
from extraction.engine import EngineRefused

_RELOAD_SECONDS = 300.0


async def load_weights(client: ChatClient, folder: Path) -> None:
    """Puts a checkpoint of the same shape in place of the running one.

    The server drains by itself first (`wait`: with `keep`, answers mixed old and new weights), and
    drops what it computed with the old ones: with a cached prefix a new version would go on from
    the old one's keys and values, and a cached image would kill it.

    Raises:
        EngineLost: the server died over it.
        EngineRefused: the server could not load it; what it holds now is undefined.
    """
    await client.control("/pause?mode=wait&clear_cache=true", timeout_seconds=_RELOAD_SECONDS)
    await client.control(
        "/collective_rpc",
        {"method": "reload_weights", "kwargs": {"weights_path": str(folder)}},
        timeout_seconds=_RELOAD_SECONDS,
    )
    await client.control("/collective_rpc", {"method": "pack_tied_weights"})
    # `clear_cache` is called deprecated in 0.32, and says nothing when blocks are still held.
    reset = await client.control("/reset_prefix_cache")
    if not isinstance(reset, dict) or reset.get("success") is not True:
        raise EngineRefused(200, "/reset_prefix_cache: the cache of the former weights stays")
    await client.control("/resume")


async def load_adapter(client: ChatClient, name: str, folder: Path) -> None:
    """Loads an adapter under its version's own name; one that is there already stays as it is.

    Never under a name that had other weights: the caches would be theirs (vllm#42125).

    Raises:
        EngineLost: the server died over it.
        EngineRefused: the server does not take it.
    """
    if name in await client.models():
        return  # another process that shares the server was first
    try:
        await client.control(
            "/v1/load_lora_adapter",
            {"lora_name": name, "lora_path": str(folder)},
            timeout_seconds=_RELOAD_SECONDS,
        )
    except EngineRefused:
        if name not in await client.models():
            raise


async def unload_adapter(client: ChatClient, name: str) -> None:
    """Gives an adapter up; one that is not there is no fault.

    Raises:
        EngineLost: the server is not there.
        EngineRefused: the server keeps it.
    """
    if name in await client.models():
        await client.control("/v1/unload_lora_adapter", {"lora_name": name})
