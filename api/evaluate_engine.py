"""The model server of an evaluation: our own beside the service's, or the remote ones."""

import asyncio
import time

from api.engine.server import SwapFailed
from api.engine.smoke import smoke_test
from api.engine.swapping import SwappingEngine
from api.model_source import adapting_engine, configured_traits, local_engine
from api.settings import Settings
from extraction.engine import EngineStatus
from extraction.errors import EngineUnavailable
from extraction.model_folder import ModelFolder

LOG_NAME = "evaluate-engine.log"

_POLL_SECONDS = 0.1


async def open_engine(settings: Settings, model: ModelFolder) -> SwappingEngine:
    """An engine that answers with this version.

    With `engine_urls` those servers are asked, and versions reach them as adapters by name;
    otherwise a server is started on this machine.

    Raises:
        BadModelFolder: the version is none for this engine.
        SwapFailed: it did not come up; nothing is left running.
    """
    if not settings.engine_urls:
        return await start(
            local_engine(settings, model, log_name=LOG_NAME),
            model,
            timeout_seconds=settings.engine_start_timeout_seconds,
        )
    traits = configured_traits(settings)
    if traits is None:
        raise SwapFailed(model.version, "DOCLOOP_MODEL_VERSION does not say what engine_urls serve")
    engine = adapting_engine(settings, traits)
    return await start(engine, model, timeout_seconds=settings.engine_start_timeout_seconds)


async def start(
    engine: SwappingEngine, model: ModelFolder, *, timeout_seconds: float
) -> SwappingEngine:
    """Start an engine, bring it to a version, and try that version.

    Args:
        engine: not started; the version is its first one, or one that it can be given.
        model: the version.
        timeout_seconds: an engine that is not ready by then is given up.

    Raises:
        BadModelFolder: the version is none for this engine.
        SwapFailed: it did not come up; nothing is left running.
    """
    try:
        await engine.start()
        await _until_ready(engine, model.version, timeout_seconds)
        if engine.champion.version == model.version:
            await smoke_test(engine.generate)
        else:
            await engine.swap(model)  # which tries it
    except BaseException as error:
        await asyncio.shield(engine.stop())
        if isinstance(error, EngineUnavailable):
            raise SwapFailed(model.version, error.why) from error
        raise
    return engine


async def _until_ready(engine: SwappingEngine, version: str, timeout_seconds: float) -> None:
    deadline = time.monotonic() + timeout_seconds
    while not (state := engine.state()).ready:
        if state.status is EngineStatus.FAILED or time.monotonic() >= deadline:
            raise SwapFailed(version, f"its engine does not start: {state.reason}")
        await asyncio.sleep(_POLL_SECONDS)
