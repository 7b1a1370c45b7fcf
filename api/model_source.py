"""From the settings to what is served: traits, engine, and the parts that read pages.

A restart begins with the version that was served last (`api.champion_hint`) where its folder is
whole, and with the configured folder otherwise; `api.champion_watch` goes on from there.
"""

import logging
from dataclasses import replace
from pathlib import Path

from api.champion_hint import Hint, read_hint
from api.engine.local import LocalEngine
from api.engine.options import LocalOptions
from api.engine.remote import RemoteEngine
from api.engine.swapping import SwappingEngine
from api.settings import Settings
from extraction.classify import TypeClassifier
from extraction.confidence import Calibration
from extraction.engine import Engine
from extraction.extract import Extractor, Readers
from extraction.lines import LineReader
from extraction.model_folder import BadModelFolder, ModelFolder, open_model_folder
from extraction.page_limits import PageLimits
from extraction.prompt import PromptStyle
from extraction.tower_reader import TOWER, TowerReader
from extraction.traits import ModelTraits

logger = logging.getLogger(__name__)

UNNAMED = "unnamed"


def find_traits(settings: Settings) -> ModelTraits | None:
    """What is known of the version to begin with; None where nothing names it.

    Reads the whole folder of a version that was served last; blocks for as long as that takes.

    Raises:
        ValueError: the configured folder's `docloop.json` is broken.
    """
    configured = configured_traits(settings)
    hint = _hint(settings)
    if hint is None or (configured is not None and configured.version == hint.version):
        return configured
    try:
        return open_version(settings, hint.version, str(hint.folder)).traits
    except BadModelFolder:
        return configured


def configured_traits(settings: Settings) -> ModelTraits | None:
    """What is known of the model that the settings name; None where nothing names it.

    Raises:
        ValueError: the folder's `docloop.json` is broken.
    """
    traits = ModelTraits.load(settings.model_dir)
    if traits is None:
        if settings.model_version is None:
            return None
        traits = ModelTraits(version=settings.model_version)
    if settings.model_version is not None:
        traits = replace(traits, version=settings.model_version)
    return _overridden(settings, traits)


def starting_folder(settings: Settings, traits: ModelTraits | None) -> Path:
    """The folder that the engine begins with, absolute."""
    hint = _hint(settings)
    if hint is not None and traits is not None and hint.version == traits.version:
        return hint.folder
    return settings.model_dir.expanduser().resolve()


def open_version(settings: Settings, version: str, path: str) -> ModelFolder:
    """The folder of a registered version, found and looked at in full; blocks.

    The configured folder is the operator's own and needs no hashes; any other does.

    Args:
        settings: for the configured folder, and where versions are kept on this machine.
        version: which.
        path: where it was registered, perhaps on another machine.

    Raises:
        BadModelFolder: it is not there, or must not be served.
    """
    configured, own = configured_traits(settings), settings.model_dir.expanduser().resolve()
    if configured is not None and configured.version == version:
        if settings.model_version is not None:  # named by the operator, whatever the folder says
            return ModelFolder(version, own, "merged", configured, base=configured.base)
        opened = open_model_folder(own, expected=version)
    else:
        kept = settings.data_dir.expanduser().resolve() / "versions" / version
        registered = Path(path).expanduser() if path else kept
        folder = registered if registered.is_dir() else kept
        opened = open_model_folder(folder, expected=version, require_hashes=True)
    return replace(opened, traits=_overridden(settings, opened.traits))


def _hint(settings: Settings) -> Hint | None:
    return None if settings.engine_urls else read_hint(settings.data_dir.expanduser().resolve())


def _overridden(settings: Settings, traits: ModelTraits) -> ModelTraits:
    """The traits with what the operator says of every model."""
    if settings.prompt_style is not None:
        traits = replace(traits, style=PromptStyle(settings.prompt_style))
    if settings.model_sees is not None:
        traits = replace(traits, sees_images=settings.model_sees)
    return traits


def make_engine(settings: Settings, traits: ModelTraits | None) -> Engine:
    """The engine that the settings ask for, not started.

    One on this machine can swap versions; servers elsewhere can where they take adapters.
    """
    traits = traits or ModelTraits(UNNAMED)
    if settings.engine_urls:
        swaps = settings.engine_adapters
        return (adapting_engine if swaps else remote_engine)(settings, traits)
    # Looked at already where it is not the operator's own; the engine says what else is wrong.
    folder = starting_folder(settings, traits)
    model = ModelFolder(traits.version, folder, "merged", traits, base=traits.base)
    return local_engine(settings, model)


def remote_engine(settings: Settings, traits: ModelTraits) -> RemoteEngine:
    """The servers of `engine_urls`, which serve this version."""
    key = settings.engine_api_key
    return RemoteEngine(
        settings.engine_urls,
        served_name=traits.version,
        api_key=None if key is None else key.get_secret_value(),
        patience_seconds=settings.engine_patience_seconds,
        request_timeout_seconds=settings.engine_request_timeout_seconds,
    )


def adapting_engine(settings: Settings, traits: ModelTraits) -> SwappingEngine:
    """The same servers, to which other versions come as adapters of the one that they serve."""
    base = traits.base or traits.version
    served = ModelFolder(traits.version, settings.model_dir, "merged", traits, base=base)
    return SwappingEngine(served, remote_engine(settings, traits))


def local_engine(
    settings: Settings, model: ModelFolder, *, log_name: str = "engine.log"
) -> SwappingEngine:
    """An engine of our own that begins with this version.

    Args:
        settings: for the server, and for what adapters are made for.
        model: the version.
        log_name: file of the server's log under `data_dir/log`; each engine has one of its own.

    Raises:
        BadModelFolder: an adapter for another base than the configured model.
    """
    base = _adapter_base(settings, model)
    options = LocalOptions(
        model_folder=model.folder,
        served_name=model.version,
        log_file=settings.data_dir / "log" / log_name,
        threads=settings.engine_threads,
        threads_bind=settings.engine_threads_bind,
        dtype=settings.engine_dtype,
        max_model_tokens=settings.max_model_len,
        kv_cache_bytes=settings.kv_cache_bytes,
        max_sequences=settings.engine_max_sequences,
        images_per_prompt=settings.max_images,
        enforce_eager=settings.enforce_eager,
        cache_folder=settings.data_dir.expanduser().resolve() / "cache" / "vllm",
        enable_lora=settings.engine_adapters,
        max_lora_rank=settings.engine_max_adapter_rank,
        draft_tokens=settings.engine_draft_tokens,
        extra_arguments=settings.engine_arguments,
    )
    server = LocalEngine(
        options.serving(model, base),
        patience_seconds=settings.engine_patience_seconds,
        start_timeout_seconds=settings.engine_start_timeout_seconds,
        request_timeout_seconds=settings.engine_request_timeout_seconds,
    )
    return SwappingEngine(
        model,
        server,
        base=base,
        start_timeout_seconds=settings.engine_start_timeout_seconds,
    )


def _adapter_base(settings: Settings, model: ModelFolder) -> ModelFolder:
    """What adapters are made for: the configured model."""
    configured = configured_traits(settings)
    if configured is None or configured.version == model.version:
        return model
    own = settings.model_dir.expanduser().resolve()
    return ModelFolder(configured.version, own, "merged", configured, base=configured.base)


def page_limits(settings: Settings) -> PageLimits:
    """What is accepted as a document."""
    return PageLimits(
        bytes=settings.max_upload_bytes, pages=settings.max_pages, pixels=settings.max_pixels
    )


def _tower_reader(folder: Path, settings: Settings) -> TowerReader | None:
    """The tower of the version or, which is the same, of the model that it was made from.

    Without one that can be loaded the model looks at the page where the OCR may not.
    """
    for place in (folder / TOWER, settings.model_dir.expanduser() / TOWER):
        if not TowerReader.is_in(place):
            continue
        try:
            return TowerReader(place, settings.ocr_threads)
        except (ImportError, RuntimeError) as error:
            logger.warning("the tower in %s cannot be loaded: %s", place, error)
    return None


def load_extractor(settings: Settings, traits: ModelTraits, engine: Engine) -> Extractor:
    """The serving sentence with its models loaded; blocks for about a second."""
    folder = starting_folder(settings, traits)
    own = folder / "classifier.json"
    readers = Readers(
        lines=LineReader(settings.ocr_threads) if settings.ocr_enabled else None,
        classifier=TypeClassifier.load(own if own.is_file() else None),
        calibration=Calibration.load(folder),
        traits=traits,
        page_limits=page_limits(settings),
        max_characters=settings.max_prompt_characters,
        max_images=settings.max_images,
        tower=_tower_reader(folder, settings) if traits.pages.stretched else None,
    )
    return Extractor(engine, readers, ocr_slots=settings.ocr_slots)
