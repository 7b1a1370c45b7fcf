"""From the settings to what is served: traits, engine, and the parts that read pages."""

from dataclasses import replace

from api.engine.local import LocalEngine
from api.engine.options import LocalOptions
from api.engine.remote import RemoteEngine
from api.settings import Settings
from extraction.classify import TypeClassifier
from extraction.confidence import Calibration
from extraction.engine import Engine
from extraction.extract import Extractor, Readers
from extraction.lines import LineReader
from extraction.page_limits import PageLimits
from extraction.prompt import PromptStyle
from extraction.traits import ModelTraits

UNNAMED = "unnamed"


def find_traits(settings: Settings) -> ModelTraits | None:
    """What is known of the served model; None where neither its folder nor a setting names it.

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
    if settings.prompt_style is not None:
        traits = replace(traits, style=PromptStyle(settings.prompt_style))
    if settings.model_sees is not None:
        traits = replace(traits, sees_images=settings.model_sees)
    return traits


def make_engine(settings: Settings, traits: ModelTraits | None) -> Engine:
    """The engine that the settings ask for, not started."""
    name = traits.version if traits is not None else UNNAMED
    if settings.engine_urls:
        key = settings.engine_api_key
        return RemoteEngine(
            settings.engine_urls,
            served_name=name,
            api_key=None if key is None else key.get_secret_value(),
            patience_seconds=settings.engine_patience_seconds,
            request_timeout_seconds=settings.engine_request_timeout_seconds,
        )
    return LocalEngine(
        LocalOptions(
            model_folder=settings.model_dir.expanduser().resolve(),
            served_name=name,
            log_file=settings.data_dir / "log" / "engine.log",
            threads=settings.engine_threads,
            threads_bind=settings.engine_threads_bind,
            dtype=settings.engine_dtype,
            max_model_tokens=settings.max_model_len,
            kv_cache_bytes=settings.kv_cache_bytes,
            max_sequences=settings.engine_max_sequences,
            images_per_prompt=settings.max_images,
            enforce_eager=settings.enforce_eager,
            cache_folder=settings.data_dir.expanduser().resolve() / "cache" / "vllm",
            extra_arguments=settings.engine_arguments,
        ),
        patience_seconds=settings.engine_patience_seconds,
        start_timeout_seconds=settings.engine_start_timeout_seconds,
        request_timeout_seconds=settings.engine_request_timeout_seconds,
    )


def page_limits(settings: Settings) -> PageLimits:
    """What is accepted as a document."""
    return PageLimits(
        bytes=settings.max_upload_bytes, pages=settings.max_pages, pixels=settings.max_pixels
    )


def load_extractor(settings: Settings, traits: ModelTraits, engine: Engine) -> Extractor:
    """The serving sentence with its models loaded; blocks for about a second."""
    own = settings.model_dir / "classifier.json"
    readers = Readers(
        lines=LineReader(settings.ocr_threads) if settings.ocr_enabled else None,
        classifier=TypeClassifier.load(own if own.is_file() else None),
        calibration=Calibration.load(settings.model_dir),
        traits=traits,
        page_limits=page_limits(settings),
        max_characters=settings.max_prompt_characters,
        max_images=settings.max_images,
    )
    return Extractor(engine, readers, ocr_slots=settings.ocr_slots)
