"""What goes over the wire, as `/docs` shows it.

Answers are built by `api.presentation`. Values of a record depend on its document type, so they are
JSON here; `GET /document-types/{name}` has the schema of each type's records.
"""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from db.tables import State, Verdict
from extraction.checks import Verdict as CheckVerdict
from extraction.evidence import Source
from extraction.plain_text import MOST_CHARACTERS

NO_NUL = r"^[^\x00]*$"
LONGEST_COMMENT = 4000
LONGEST_NAME = 200
MOST_CORRECTIONS = 2**31 - 1

Name = Annotated[str, Field(min_length=1, max_length=LONGEST_NAME, pattern=NO_NUL)]

Names = (
    Annotated[list[Name], Field(max_length=200)]
    | Annotated[str, Field(max_length=20_000, pattern=NO_NUL)]
)


class Answer(BaseModel):
    """Base of what is sent; an answer never holds a key that its schema does not name."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())


class FieldEvidence(Answer):
    """Where on the document a value was read."""

    page: int | None = Field(
        description="Index of the page, from 0; null in a plain text.", examples=[0]
    )
    box: tuple[float, float, float, float] | None = Field(
        description="Left, top, right, bottom, each as a ratio (0 to 1) of the page; null in a "
        "plain text.",
        examples=[(0.61, 0.72, 0.78, 0.745)],
    )
    text: str = Field(description="What the line reader read there.", examples=["RM9.00"])
    start: int | None = Field(
        default=None, description="In a plain text: offset of its first character; null on a page."
    )
    end: int | None = Field(
        default=None, description="In a plain text: offset behind its last character."
    )


class FieldAnswer(Answer):
    """One value of a record and what is known about it."""

    value: Any = Field(description="Normalised, as in the record.", examples=["9.00"])
    raw: str | None = Field(
        description="As printed; null where a person gave the value, and for a page's whole text.",
        examples=["RM9.00"],
    )
    confidence: float | None = Field(
        description="Calibrated probability that the value is right; null where a person gave it.",
        ge=0,
        le=1,
        examples=[0.97],
    )
    evidence: FieldEvidence | None = Field(description="Null where the place was not found.")
    source: Source = Field(
        description="Who read it: the model, the MRZ's check digits, the line reader alone (a page "
        "that no model wrote, a name that the MRZ tells), a person."
    )


class CheckAnswer(Answer):
    """A verdict on the record; never a reason for a rejection."""

    name: str = Field(examples=["items_sum_to_subtotal"])
    verdict: CheckVerdict
    detail: str = Field(description="One sentence.")
    fields: list[str] = Field(description="Paths of the fields that were compared.")


class Usage(Answer):
    """How many tokens the model read and wrote."""

    prompt_tokens: int | None = Field(examples=[412])
    completion_tokens: int | None = Field(examples=[63])


class PageAnswer(Answer):
    """One upright page."""

    index: int
    width_pixels: int
    height_pixels: int
    url: str = Field(examples=["/predictions/01920000-0000-7000-8000-000000000000/pages/0"])


class PredictionAnswer(Answer):
    """One document and what was read from it.

    While its state is queued or running, everything that is not known yet is null or empty.
    """

    id: UUID
    state: State = Field(description="queued, running, done or failed.")
    document_type: str = Field(
        description='Name of the type; "auto" until it is decided, "unknown" where none fits.',
        examples=["receipt"],
    )
    document_type_version: int | None = Field(examples=[1])
    document_type_confidence: float | None = Field(
        description="How sure `auto` was; 1 where the type was named.", examples=[1.0]
    )
    record: dict[str, Any] | None = Field(
        description="Normalised values; null is absent. Its schema: `GET /document-types/{name}`.",
        examples=[{"merchant_name": "CORNER STORE SDN BHD", "total": "9.00"}],
    )
    corrected_record: dict[str, Any] | None = Field(
        description="The record with the corrections in force; null where no person has corrected."
    )
    markdown: str | None = Field(
        description="Of a `document`: all pages as one Markdown text, as corrected, with its front "
        'matter on top and an anchor, `<a id="page-2"></a>`, before each of several pages.'
    )
    fields: dict[str, FieldAnswer] = Field(
        description='Every value by its path, as "items.0.total_price"; as corrected.'
    )
    checks: list[CheckAnswer]
    warnings: list[str] = Field(description='Stable slugs, as "answer-cut".')
    reasoning: str | None = Field(description="The model's thought, where one was asked for.")
    entity_tokens: str | None = Field(description="The record in entity tokens, where asked for.")
    schema_valid: bool | None = Field(description="Whether the answer and every value fitted.")
    model_version: str | None
    prompt_hash: str | None
    finish_reason: str | None = Field(examples=["stop"])
    usage: Usage
    timings_seconds: dict[str, float] = Field(
        description="By stage.", examples=[{"decode": 0.02, "lines": 0.9, "engine": 2.1}]
    )
    pages: list[PageAnswer]
    corrections: int = Field(description="How many corrections were given, superseded included.")
    error: dict[str, Any] | None = Field(
        description="The problem document of a failed prediction; null otherwise."
    )
    request_id: str | None
    created_at: datetime
    finished_at: datetime | None


class SplitAnswer(Answer):
    """The answer to `split=pages`: one prediction for each page, in order."""

    predictions: list[PredictionAnswer]


class PredictionSummary(Answer):
    """A prediction in a list."""

    id: UUID
    url: str
    state: State
    document_type: str
    document_type_version: int | None
    model_version: str | None
    lowest_confidence: float | None = Field(description="The least of its fields' confidences.")
    schema_valid: bool | None
    corrections: int
    error: dict[str, Any] | None
    request_id: str | None
    created_at: datetime
    finished_at: datetime | None


class PredictionList(Answer):
    """One page of predictions, newest first."""

    predictions: list[PredictionSummary]
    next_cursor: str | None = Field(description="Send it as `cursor`; null on the last page.")


class ExtractBody(BaseModel):
    """POST /extract as JSON."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"content_base64": "/9j/4AAQSkZJRg...", "document_type": "receipt"},
                {
                    "text": "Ada Lovelace wrote to Charles Babbage.",
                    "document_type": "graph",
                    "entity_types": ["person"],
                    "relation_types": ["wrote to"],
                },
            ],
            "oneOf": [{"required": ["content_base64"]}, {"required": ["text"]}],
        },
    )

    content_base64: Annotated[str, Field(min_length=1)] | None = Field(
        default=None, description="The file, in base64."
    )
    text: Annotated[str, Field(min_length=1, max_length=MOST_CHARACTERS, pattern=NO_NUL)] | None = (
        Field(default=None, description="A plain text in place of the file.")
    )
    document_type: str = Field(
        "auto",
        min_length=1,
        max_length=64,
        pattern=NO_NUL,
        description="receipt, passport, document, graph, a type of your own, or auto.",
    )
    fields: Names = Field(
        default=[],
        description="Top-level fields to answer, as a list or separated by commas; none: all.",
        examples=[["merchant_name", "total"]],
    )
    entity_types: Names = Field(
        default=[],
        description="Of a `graph`: the types that entities may have, at least one.",
        examples=[["person", "place"]],
    )
    relation_types: Names = Field(
        default=[],
        description="Of a `graph`: the types that relations may have; none: no relations.",
        examples=[["born in"]],
    )
    reasoning: bool = Field(default=False, description="Whether the model thinks first.")
    format: Literal["json", "entity_tokens"] = Field("json", description="How the model writes.")
    ocr: Literal["on", "off"] | bool = Field(
        default="on", description="Off for a model that reads the page image by itself."
    )
    split: Literal["none", "pages"] = Field(
        "none", description="pages: each page is a document of its own."
    )


class FeedbackBody(BaseModel):
    """A person's word on a prediction."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "prediction_id": "01920000-0000-7000-8000-000000000000",
                    "verdict": "corrected",
                    "record": {"total": "9.50"},
                    "reviewer": "ann",
                }
            ]
        },
    )

    prediction_id: UUID
    # Spelled out, because the schema stands in the OpenAPI document without definitions.
    verdict: Literal["correct", "corrected", "unreadable"] = Field(
        description="`corrected` comes with `record`, the others without."
    )
    record: dict[str, Any] | None = Field(
        default=None,
        description="Only the corrected fields, nested as in the response; null: the field is "
        "absent. A list is sent whole.",
    )
    confirms_rest: bool = Field(
        default=False,
        strict=True,
        description="With `corrected`: the fields that `record` does not name are right as they "
        "were read. Otherwise nothing is said of them, and nothing is learnt from them.",
    )
    reviewer: Annotated[str, Field(max_length=LONGEST_NAME, pattern=NO_NUL)] | None = Field(
        default=None, description="Who says so."
    )
    comment: Annotated[str, Field(max_length=LONGEST_COMMENT, pattern=NO_NUL)] | None = None
    expected_corrections: Annotated[int, Field(ge=0, le=MOST_CORRECTIONS, strict=True)] | None = (
        Field(
            default=None,
            description="`corrections` of the prediction that you decided on; null: whichever is "
            "found. 409 where somebody has spoken since.",
        )
    )


class CorrectionAnswer(Answer):
    """One stored correction."""

    id: UUID
    prediction_id: UUID
    verdict: Verdict
    record: dict[str, Any] | None = Field(description="The corrected fields, normalised.")
    confirms_rest: bool = Field(description="Whether the other fields were confirmed with it.")
    reviewer: str | None
    comment: str | None
    supersedes: UUID | None = Field(description="The correction that was in force before.")
    created_at: datetime


class CorrectionHistory(Answer):
    """All corrections of one prediction, from the first to the one in force."""

    prediction_id: UUID
    corrections: list[CorrectionAnswer]


class CorrectionList(Answer):
    """One page of corrections in force, newest first."""

    corrections: list[CorrectionAnswer]
    next_cursor: str | None = Field(description="Send it as `cursor`; null on the last page.")


class DocumentTypeAnswer(Answer):
    """A document type."""

    name: str = Field(examples=["receipt"])
    version: int = Field(examples=[1])
    description: str
    built_in: bool
    fields: list[str] = Field(description="Names of the top-level fields.")
    record_schema: dict[str, Any] = Field(description="JSON Schema of its records in responses.")
    json_schema: dict[str, Any] | None = Field(
        description="The schema as it was put; null for a built-in type."
    )
    created_at: datetime | None
    retired_at: datetime | None


class DocumentTypeList(Answer):
    """The types that can be asked for: built-in ones first."""

    document_types: list[DocumentTypeAnswer]
