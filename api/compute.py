"""The computation of one prediction, finished in the database however it ends.

place -> extraction (the champion's, or the canary's) -> answer -> committed row -> shadow
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy.exc import DataError

from api.dependencies import Services
from api.errors import DatabaseUnavailable, Interrupted, QueueFull, QueueTimeout
from api.presentation import stored_fields
from api.problems import forget_frames, log_problem, problem_of
from api.shadow import Question
from api.upload import Upload
from db.errors import NotFound
from db.page_lines import stored_lines
from db.queries.documents import set_lines
from db.queries.predictions import Answer, finish_prediction
from db.tables import Prediction, State
from extraction.document_types.base import DocumentType
from extraction.engine import EngineRefused
from extraction.errors import (
    EngineUnavailable,
    ModelCannotSee,
    PromptTooLong,
    UnparseableRecord,
)
from extraction.extract import Extraction, ExtractRequest
from extraction.pages import Page

JOB_PATIENCE_SECONDS = 900.0
"""How long a worker waits for a model: one that is built anew, compiled, takes a few minutes."""

LONGEST_PAUSE_SECONDS = 15.0

_FINISH_PAUSES_SECONDS = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0)
# What another version may well be able to do.
_CANARY_FAULTS = (
    EngineRefused,
    EngineUnavailable,
    ModelCannotSee,
    PromptTooLong,
    UnparseableRecord,
)
_DATABASE_PROBLEM = f"/problems/{DatabaseUnavailable.slug}"

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Work:
    """All that a computation needs."""

    tenant_id: UUID
    prediction_id: UUID
    upload: Upload
    document_type: DocumentType | None
    pages: Sequence[Page]
    patient: bool = False
    seconds: Mapping[str, float] = field(default_factory=dict)


async def compute(
    services: Services,
    work: Work,
    document_id: UUID,
    reading: "asyncio.Task[Extraction] | None" = None,
) -> Prediction | None:
    """The computation of one prediction, finished in the database however it ends.

    Cancelled, it notes that it was interrupted; a worker's stays as it is and is taken up again.

    Args:
        services: of the app.
        work: what to compute.
        document_id: the stored document.
        reading: `read` where it has begun already.
    """
    document_type = work.upload.document_type
    extraction: Extraction | None = None
    try:
        extraction = await (reading or read(services, work))
    except asyncio.CancelledError:
        if not work.patient:
            await finish(services, work.tenant_id, work.prediction_id, failure(Interrupted()))
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, the row says it
        log_problem(problem_of(error), error)
        answer = failure(error)
        forget_frames(error)
        lines: dict[int, list[Any]] = {}
    else:
        document_type = extraction.document_type
        answer, lines = _answer(extraction), stored_lines(extraction.lines)
        services.metrics.observe_extraction(extraction)
    began = time.monotonic()
    try:
        finished = await finish(
            services, work.tenant_id, work.prediction_id, answer, (document_id, lines)
        )
    except (TypeError, ValueError, DataError) as error:  # an answer that no column can hold
        log_problem(problem_of(error), error)
        answer = failure(error)
        finished = await finish(services, work.tenant_id, work.prediction_id, answer)
    services.metrics.observe_stage("commit", time.monotonic() - began)
    state = State.DONE if answer.error is None else State.FAILED
    services.metrics.count_prediction(document_type, state)
    if extraction is not None and finished is not None:
        question = Question(
            work.tenant_id,
            work.prediction_id,
            replace(_request(work), content=b""),
            extraction.pages,
            extraction.lines,
        )
        services.shadow.offer(services, question, extraction)
    return finished


async def read(services: Services, work: Work) -> Extraction:
    """The extraction, once there is a place; a worker waits for the model, a caller does not."""
    deadline = time.monotonic() + JOB_PATIENCE_SECONDS
    while True:
        try:
            async with services.admission.place(patient=work.patient) as place:
                extraction = await _extract(services, work)
                return _with_timings(extraction, {**work.seconds, "queue": place.waited_seconds})
        except (EngineUnavailable, QueueFull, QueueTimeout) as error:
            if not work.patient or time.monotonic() >= deadline:
                raise
            await asyncio.sleep(min(error.retry_after_seconds, LONGEST_PAUSE_SECONDS))


async def _extract(services: Services, work: Work) -> Extraction:
    """The canary's answer for its share of the predictions, else the champion's.

    Where the canary cannot answer the champion does, so that a canary costs time and no request.
    """
    request = _request(work)
    canary = services.routing.canary_for(work.prediction_id)
    if canary is not None:
        try:
            extraction = await services.extractor.extract(request, work.pages, version=canary)
        except _CANARY_FAULTS as error:
            logger.warning("canary gave no answer", model_version=canary, problem=error.slug)
            forget_frames(error)
            services.metrics.count_canary("champion")
        else:
            services.metrics.count_canary("canary")
            return extraction
    return await services.extractor.extract(request, work.pages)


def _request(work: Work) -> ExtractRequest:
    upload = work.upload
    return ExtractRequest(
        content=upload.content,
        document_type=work.document_type,
        fields=upload.fields,
        reasoning=upload.reasoning,
        answer_format=upload.answer_format,
        use_lines=upload.use_lines,
        is_text=upload.is_text,
    )


async def finish(
    services: Services,
    tenant_id: UUID,
    prediction_id: UUID,
    answer: Answer,
    lines: tuple[UUID, Mapping[int, list[Any]]] | None = None,
) -> Prediction | None:
    """Commit the answer, through a short absence of the database; None where the row is erased."""
    for pause in (*_FINISH_PAUSES_SECONDS, None):
        try:
            async with services.sessions.begin() as session:
                finished = await finish_prediction(session, tenant_id, prediction_id, answer)
                if lines is not None:
                    document_id, by_page = lines
                    for index, found in by_page.items():
                        await set_lines(session, tenant_id, document_id, index, found)
                return finished
        except NotFound:
            return None
        except Exception as error:
            if pause is None or not is_database_away(error):
                raise
            logger.warning("answer not committed yet", prediction_id=str(prediction_id))
            await asyncio.sleep(pause)
    raise AssertionError("the last pass returns or raises")


def is_database_away(error: BaseException) -> bool:
    """Whether the database was lost: nothing is wrong with the document, and a retry may help."""
    return bool(problem_of(error).body["type"] == _DATABASE_PROBLEM)


def failure(error: BaseException, prediction: Prediction | None = None) -> Answer:
    """The answer of a prediction that failed.

    One that failed by what the model wrote names the version that wrote it and the type that it was
    asked for, so that it counts against that version.

    Args:
        error: why.
        prediction: it, where another request than its own finds it failed.
    """
    asked_id = None if prediction is None else prediction.request_id
    problem = problem_of(error, asked_id=asked_id).body
    if isinstance(error, UnparseableRecord) and error.model_version is not None:
        return Answer(
            document_type=error.document_type,
            model_version=error.model_version,
            finish_reason=error.finish_reason,
            schema_valid=False,
            error=problem,
        )
    return Answer(error=problem)


def _with_timings(extraction: Extraction, seconds: Mapping[str, float]) -> Extraction:
    """The extraction, with what the stages before it and around it took."""
    total = dict(extraction.timings_seconds)
    for stage, measured in seconds.items():
        total[stage] = total.get(stage, 0.0) + measured
    return replace(extraction, timings_seconds=total)


def _answer(extraction: Extraction) -> Answer:
    return Answer(
        document_type=extraction.document_type,
        document_type_version=extraction.document_type_version,
        record=extraction.record,
        fields=stored_fields(extraction),
        checks=[asdict(check) for check in extraction.checks],
        warnings=list(extraction.warnings),
        reasoning=extraction.reasoning,
        entity_tokens=extraction.entity_tokens,
        type_confidence=extraction.type_confidence,
        model_version=extraction.model_version,
        prompt_hash=extraction.prompt_hash,
        timings={stage: round(s, 4) for stage, s in extraction.timings_seconds.items()},
        prompt_tokens=extraction.prompt_tokens,
        completion_tokens=extraction.completion_tokens,
        finish_reason=extraction.finish_reason,
        schema_valid=extraction.schema_valid,
    )
