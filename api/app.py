"""The application: what is served, by what, in which layers.

`create_app` builds everything and starts nothing; the lifespan starts and ends. Whatever a test
wants to be different is given as an argument.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import structlog
from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from api.admission import Admission
from api.body_limit import BodyLimit, upload_limit
from api.dependencies import Services
from api.logs import configure_structlog
from api.metrics import Metrics
from api.model_source import find_traits, make_engine
from api.openapi import DESCRIPTION, TAGS, install_openapi
from api.pages.pages import install_pages
from api.problems import install_handlers
from api.rate_limit import RateLimiter
from api.readiness import PartState, Readiness
from api.routes import (
    document_types,
    extract,
    feedback,
    health,
    models,
    predictions,
    quarantine,
)
from api.settings import Settings
from api.startup import Startup
from api.telemetry import Telemetry
from api.trace import Trace
from api.version import VERSION
from db.blobs import BlobStore, FolderBlobStore
from extraction.document_types.catalogue import BUILT_IN
from extraction.engine import Engine
from extraction.extract import Extractor
from extraction.traits import ModelTraits

UPLOAD_PATHS = ("/extract",)

logger = structlog.get_logger(__name__)


def create_app(
    settings: Settings,
    *,
    engine: Engine | None = None,
    extractor: Extractor | None = None,
    blobs: BlobStore | None = None,
    traits: ModelTraits | None = None,
    registry: CollectorRegistry | None = None,
    telemetry: Telemetry | None = None,
    on_progress: Callable[[PartState], None] | None = None,
    on_first_key: Callable[[str], None] | None = None,
) -> FastAPI:
    """The app, not started.

    Args:
        settings: what is in force.
        engine: another than the settings ask for.
        extractor: another than the one that the lifespan would load.
        blobs: another than the folder under `data_dir`.
        traits: of the served model; those of `model_dir` where None.
        registry: of the metrics; one of its own where None.
        telemetry: for traces; as the settings say where None.
        on_progress: is told of each part of the start; must not block.
        on_first_key: is given the generated first key, once.

    Raises:
        ValueError: the model folder's `docloop.json` is broken.
    """
    if not structlog.is_configured():
        # structlog's own default prints the local variables of every frame of an exception.
        configure_structlog(settings.secrets())
    traits = traits or find_traits(settings)
    admission = Admission(
        max_concurrency=settings.max_concurrency,
        queue_size=settings.queue_size,
        queue_wait_seconds=settings.queue_wait_seconds,
        most_bytes=settings.max_held_bytes,
    )
    services = Services(
        settings=settings,
        metrics=Metrics(BUILT_IN, registry),
        admission=admission,
        limiter=RateLimiter(settings.rate_limit_per_minute),
        engine=engine or make_engine(settings, traits),
        blobs=blobs or FolderBlobStore(settings.data_dir / "blobs", settings.blob_key_bytes),
        readiness=Readiness(on_progress),
    )
    services.metrics.watch(
        engine=services.engine,
        waiting=lambda: admission.waiting,
        running=lambda: admission.running,
    )
    services.metrics.watching.watch_disk(settings.data_dir)
    if extractor is not None:
        services.use_extractor(extractor)
    startup = Startup(services, traits, on_first_key)
    tracing = telemetry or Telemetry(
        settings.otlp_endpoint, version=VERSION, sample_ratio=settings.otlp_sample_ratio
    )

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        # asyncio's own report of a lost exception quotes its message.
        asyncio.get_running_loop().set_exception_handler(_report_lost)
        tracing.follow_tasks()
        try:
            await startup.begin()
            yield
        finally:
            await startup.end()
            await asyncio.to_thread(tracing.close)

    app = FastAPI(
        title="Docloop",
        version=VERSION,
        summary="Documents in, validated records out; corrections in, a better model out.",
        description=DESCRIPTION,
        openapi_tags=TAGS,
        lifespan=lifespan,
        # Theirs load scripts from other hosts; /docs is a page of ours.
        docs_url=None,
        redoc_url=None,
    )
    app.state.services = services
    for routes in (extract, predictions, feedback, quarantine, document_types, models, health):
        app.include_router(routes.router)
    install_pages(app)
    install_handlers(app)
    install_openapi(app)
    upload = upload_limit(settings.max_upload_bytes)
    # The layer added last is the outermost.
    app.add_middleware(
        BodyLimit, default=settings.max_body_bytes, by_path=dict.fromkeys(UPLOAD_PATHS, upload)
    )
    app.add_middleware(Trace, metrics=services.metrics, telemetry=tracing)
    return app


def _report_lost(_loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
    """An exception that nobody awaited: its type and its frames."""
    error = context.get("exception")
    logger.error(
        "lost exception in a background task",
        exc_info=error if isinstance(error, BaseException) else None,
    )
