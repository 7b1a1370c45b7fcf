"""POST /extract's body: multipart or JSON -> one `Upload`, bounded and validated."""

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from fastapi import Request
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException

from api.errors import InvalidRequest, UnsupportedMediaType
from api.json_body import JSON, parse_json, parse_model, refuse_packed
from api.schemas import ExtractBody
from extraction.document_types.document import DOCUMENT
from extraction.document_types.graph import GRAPH, graph_type
from extraction.errors import DocumentTooLarge, UnreadableDocument
from extraction.media import TEXT, media_type
from extraction.plain_text import MOST_CHARACTERS
from extraction.prompt import AnswerFormat

AUTO = "auto"
MULTIPART = "multipart/form-data"
_LISTS = frozenset({"fields", "entity_types", "relation_types"})
_FORM_FIELDS = _LISTS | {"text", "document_type", "reasoning", "format", "ocr", "split"}
_MOST_FORM_FIELDS = 250
_FORM_FIELD_BYTES = 4 * MOST_CHARACTERS
_KEY = re.compile(r"[\x21-\x7e]{1,200}")


@dataclass(frozen=True, slots=True)
class Upload:
    """One document and what a caller wants of it.

    Attributes:
        content: the file's bytes, or a plain text in UTF-8.
        document_type: name of the type, or "auto".
        fields: top-level fields to answer; empty for all.
        reasoning: whether the model thinks first.
        answer_format: how the model writes its answer.
        use_lines: whether the line reader's lines go into the prompt.
        split_pages: whether each page is a document of its own.
        idempotency_key: the caller's; None where there is none.
        is_text: whether the content is a plain text.
        entity_types: of a graph; empty for every other type.
        relation_types: likewise.
        content_sha256: the hash that names the document.
    """

    content: bytes = field(repr=False)
    document_type: str = AUTO
    fields: tuple[str, ...] = ()
    reasoning: bool = False
    answer_format: AnswerFormat = AnswerFormat.JSON
    use_lines: bool = True
    split_pages: bool = False
    idempotency_key: str | None = None
    is_text: bool = False
    entity_types: tuple[str, ...] = ()
    relation_types: tuple[str, ...] = ()
    content_sha256: bytes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "content_sha256", hashlib.sha256(self.content).digest())

    @property
    def media_type(self) -> str:
        """Of the content."""
        return TEXT if self.is_text else media_type(self.content)

    def options(self) -> dict[str, Any]:
        """What the prediction's row keeps, so that a worker can do the same later."""
        kept: dict[str, Any] = {
            "reasoning": self.reasoning,
            "format": str(self.answer_format),
            "ocr": self.use_lines,
        }
        if self.is_text:
            kept["text"] = True
        if self.entity_types:
            kept["entity_types"] = list(self.entity_types)
            kept["relation_types"] = list(self.relation_types)
        return kept

    def body_sha256(self) -> bytes:
        """Equal for requests that ask for the same, however they were encoded.

        The bytes on the wire would not do: every client draws a new multipart boundary.
        """
        parts = (
            self.content_sha256.hex(),
            *(self.document_type, str(self.reasoning), str(self.answer_format)),
            *(str(self.use_lines), str(self.split_pages), *sorted(set(self.fields))),
        )
        # Appended only where they are given: the hash of every other request stays what it was.
        if self.is_text:
            parts += ("text",)
        if self.entity_types:
            parts += (json.dumps([self.entity_types, self.relation_types]),)
        return hashlib.sha256("\0".join(parts).encode()).digest()

    def page(self, index: int, content: bytes) -> "Upload":
        """One page of this upload as an upload of its own, under a key that is derived."""
        key = self.idempotency_key
        derived = None if key is None else f"{key}#page-{index}"
        return replace(self, content=content, split_pages=False, idempotency_key=derived)


def stored_upload(
    content: bytes, document_type: str, fields: list[str] | None, options: Mapping[str, Any]
) -> Upload:
    """The upload that a prediction's row was made from."""
    return Upload(
        content=content,
        document_type=document_type,
        fields=tuple(fields or ()),
        reasoning=bool(options["reasoning"]),
        answer_format=AnswerFormat(options["format"]),
        use_lines=bool(options["ocr"]),
        is_text=bool(options.get("text", False)),
        entity_types=tuple(options.get("entity_types") or ()),
        relation_types=tuple(options.get("relation_types") or ()),
    )


async def read_upload(request: Request, max_bytes: int) -> Upload:
    """The upload of a request.

    Args:
        request: its body has not been read; how much is read is bounded by `api.body_limit`.
        max_bytes: the largest accepted document.

    Raises:
        UnsupportedMediaType: neither multipart nor JSON, or packed.
        InvalidRequest: names each part at fault.
        DocumentTooLarge: the file has more bytes than accepted.
    """
    key = request.headers.get("idempotency-key")
    if key is not None and not _KEY.fullmatch(key):
        raise InvalidRequest({"Idempotency-Key": "1 to 200 printable ASCII characters, no spaces"})
    refuse_packed(request)
    declared = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if declared == MULTIPART:
        content, body = await _read_form(request)
    elif declared == JSON:
        content, body = _read_json(await request.body())
    else:
        raise UnsupportedMediaType(f"{MULTIPART} or {JSON}")
    if len(content) > max_bytes:
        raise DocumentTooLarge("bytes", len(content), max_bytes)
    _check(body, content)
    return Upload(
        content=content,
        document_type=body.document_type,
        fields=_names(body.fields),
        reasoning=body.reasoning,
        answer_format=AnswerFormat(body.format),
        use_lines=body.ocr in {"on", True},
        split_pages=body.split == "pages",
        idempotency_key=key,
        is_text=body.text is not None,
        entity_types=_names(body.entity_types),
        relation_types=_names(body.relation_types),
    )


def _check(body: ExtractBody, content: bytes) -> None:
    """What no single field says: which of them go together.

    Raises:
        InvalidRequest: names each part at fault.
        InvalidType: the types of a graph cannot be.
    """
    faults = {**_text_faults(body, content), **_graph_faults(body)}
    if AnswerFormat(body.format) is not AnswerFormat.JSON and body.document_type in {
        GRAPH.name,
        DOCUMENT.name,
    }:
        faults["format"] = f"a {body.document_type} cannot be written in entity tokens"
    if faults:
        raise InvalidRequest(faults)
    if body.document_type == GRAPH.name:
        graph_type(_names(body.entity_types), _names(body.relation_types))


def _text_faults(body: ExtractBody, content: bytes) -> dict[str, str]:
    faults: dict[str, str] = {}
    if body.text is None:
        return faults
    if not body.text.strip():
        faults["text"] = "it is empty"
    elif _is_file(content):
        faults["text"] = "these are the bytes of a file; send them as one"
    if body.ocr not in {"on", True}:
        faults["ocr"] = "a text has no page to look at; leave ocr on"
    if body.split == "pages":
        faults["split"] = "a text has no pages"
    return faults


def _graph_faults(body: ExtractBody) -> dict[str, str]:
    given = {
        "entity_types": _names(body.entity_types),
        "relation_types": _names(body.relation_types),
    }
    if body.document_type != GRAPH.name:
        return {name: "only with the document_type graph" for name in given if given[name]}
    faults: dict[str, str] = {}
    if not given["entity_types"]:
        faults["entity_types"] = "name the types of entities that are looked for, as person"
    if _names(body.fields) == ("relations",):
        faults["fields"] = "relations refer to entities; ask for both"
    return faults


def _is_file(content: bytes) -> bool:
    try:
        media_type(content)
    except UnreadableDocument:
        return False
    return True


async def _read_form(request: Request) -> tuple[bytes, ExtractBody]:
    try:
        form = await request.form(
            max_files=1, max_fields=_MOST_FORM_FIELDS, max_part_size=_FORM_FIELD_BYTES
        )
    except (MultiPartException, HTTPException) as error:
        why = error.message if isinstance(error, MultiPartException) else str(error.detail)
        raise InvalidRequest({"body": why}) from None
    try:
        file = _only_file(form)
        content = b"" if file is None else await file.read()
    finally:
        await form.close()
    values = _form_values(form)
    if file is not None:
        return content, parse_model(ExtractBody, {**values, "content_base64": "-"})
    body = parse_model(ExtractBody, values)
    if body.text is None:
        raise InvalidRequest({"text": "it is empty"})
    return _encoded(body.text), body


def _only_file(form: FormData) -> UploadFile | None:
    """The file part; None where a text stands in its place."""
    file = form.get("file")
    if file is not None and "text" in form:
        raise InvalidRequest({"text": "send either a file or a text"})
    if "text" not in form and not isinstance(file, UploadFile):
        raise InvalidRequest({"file": "send the document as a file part named file"})
    others = sorted({name for name in form if name not in _FORM_FIELDS and name != "file"})
    if others:
        raise InvalidRequest({name[:200]: "there is no such field" for name in others})
    return file if isinstance(file, UploadFile) else None


def _form_values(form: FormData) -> dict[str, Any]:
    """The text parts as JSON would have them; an empty one is as good as none."""
    values: dict[str, Any] = {}
    for name in _FORM_FIELDS & set(form):
        texts = [text for text in form.getlist(name) if isinstance(text, str)]
        if len(texts) != len(form.getlist(name)):
            raise InvalidRequest({name: "it is text, not a file"})
        if name in _LISTS:
            values[name] = ",".join(texts)
        elif len(texts) > 1:
            raise InvalidRequest({name: "send it once"})
        elif texts[0]:
            values[name] = texts[0]
    return values


def _read_json(body: bytes) -> tuple[bytes, ExtractBody]:
    given = parse_model(ExtractBody, parse_json(body))
    if (given.content_base64 is None) == (given.text is None):
        why = "send either content_base64 or a text"
        raise InvalidRequest({"content_base64" if given.text is None else "text": why})
    text = given.content_base64
    if text is None:
        return _encoded(given.text or ""), given
    # A data URL is what browsers make of a file.
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        return base64.b64decode(text, validate=True), given
    except (binascii.Error, ValueError):
        raise InvalidRequest({"content_base64": "it is no base64"}) from None


def _encoded(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise InvalidRequest({"text": "it holds half of a surrogate pair"}) from None


def _names(given: list[str] | str) -> tuple[str, ...]:
    parts = given.split(",") if isinstance(given, str) else given
    return tuple(dict.fromkeys(name.strip() for name in parts if name.strip()))
