"""Records as Pydantic models, and the field tree that is derived from one.

The built-in types are written as models, so that code reads `record.total: Decimal`; a caller's
type is a field tree first and gets its model from there. `fields_of` and `model_of` are the two
directions, and they agree: `fields_of(model_of(type)) == type.fields`.
"""

from dataclasses import replace
from datetime import date, time
from decimal import Decimal
from functools import lru_cache
from types import NoneType
from typing import Annotated, Any, Literal, Union, cast, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, create_model
from pydantic.fields import FieldInfo

from extraction.document_types.base import DocumentType, FieldSpec, Kind

Text = Annotated[str, Kind.TEXT]
Markdown = Annotated[str, Kind.MARKDOWN]
Code = Annotated[str, Kind.CODE]
Label = Annotated[str, Kind.LABEL]
Money = Annotated[Decimal, Kind.MONEY]
Number = Annotated[Decimal, Kind.NUMBER]
Integer = Annotated[int, Kind.INTEGER]
Rate = Annotated[Decimal, Kind.RATE]
Date = Annotated[date, Kind.DATE]
Time = Annotated[time, Kind.TIME]
Country = Annotated[str, Kind.COUNTRY]
Currency = Annotated[str, Kind.CURRENCY]
Boolean = Annotated[bool, Kind.BOOLEAN]

_ANNOTATION: dict[Kind, Any] = {
    Kind.TEXT: Text,
    Kind.MARKDOWN: Markdown,
    Kind.CODE: Code,
    Kind.LABEL: Label,
    Kind.MONEY: Money,
    Kind.NUMBER: Number,
    Kind.INTEGER: Integer,
    Kind.RATE: Rate,
    Kind.DATE: Date,
    Kind.TIME: Time,
    Kind.COUNTRY: Country,
    Kind.CURRENCY: Currency,
    Kind.BOOLEAN: Boolean,
}


class Record(BaseModel):
    """A validated answer: frozen, absent fields are None, unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def spec(
    description: str,
    *,
    max_length: int = 200,
    max_items: int = 100,
    asked: bool = True,
    many: bool = False,
) -> Any:
    """A model field with what `FieldSpec` needs beside its annotation."""
    extra = {"max_length": max_length, "max_items": max_items, "asked": asked}
    if many:
        return Field(default=(), description=description, json_schema_extra=cast("Any", extra))
    return Field(default=None, description=description, json_schema_extra=cast("Any", extra))


def fields_of(model: type[BaseModel]) -> tuple[FieldSpec, ...]:
    """The field tree of a record model, in the order in which the model declares it."""
    return tuple(_field_of(name, info) for name, info in model.model_fields.items())


def _field_of(name: str, info: FieldInfo) -> FieldSpec:
    extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
    known: dict[str, Any] = {
        "description": info.description or "",
        "required": info.is_required(),
        **{key: extra[key] for key in ("max_length", "max_items", "asked") if key in extra},
    }
    # Pydantic moves the metadata of a bare `Annotated` from the annotation to the field.
    own = next((meta for meta in info.metadata if isinstance(meta, Kind)), None)
    if own is not None:
        return FieldSpec(name, own, **known)
    annotation = _without_none(info.annotation)
    if get_origin(annotation) is tuple:
        element = get_args(annotation)[0]
        if isinstance(element, type) and issubclass(element, BaseModel):
            return FieldSpec(name, Kind.LIST, children=fields_of(element), **known)
        return FieldSpec(name, Kind.LIST, element=_kind_of(element), **known)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return FieldSpec(name, Kind.OBJECT, children=fields_of(annotation), **known)
    if get_origin(annotation) is Literal:
        # `typing` keeps one of two Literals that differ in their order alone.
        choices = extra.get("choices") or get_args(annotation)
        return FieldSpec(name, Kind.CHOICE, choices=tuple(cast("Any", choices)), **known)
    return FieldSpec(name, _kind_of(annotation), **known)


def _without_none(annotation: Any) -> Any:
    members = [member for member in get_args(annotation) if member is not NoneType]
    is_optional = NoneType in get_args(annotation)
    return members[0] if is_optional and len(members) == 1 else annotation


def _kind_of(annotation: Any) -> Kind:
    for meta in get_args(annotation)[1:]:
        if isinstance(meta, Kind):
            return meta
    raise TypeError(f"{annotation!r} carries no Kind")


# Making the model of a receipt takes 10 ms, and every request needs it.
@lru_cache(maxsize=256)
def model_of(document_type: DocumentType, *, lenient: bool = False) -> type[Record]:
    """The Pydantic model of a field tree; also for a selection of a type's fields.

    Args:
        document_type: its fields become the model's.
        lenient: a required field may be absent too, as it is on some documents; its absence is
            reported by a check, and never forced.
    """
    fields = document_type.fields
    return _model_of(document_type.name, _optional(fields) if lenient else fields)


def _optional(fields: tuple[FieldSpec, ...]) -> tuple[FieldSpec, ...]:
    return tuple(
        replace(item, required=False, children=_optional(item.children)) for item in fields
    )


def _model_of(name: str, specs: tuple[FieldSpec, ...]) -> type[Record]:
    parts: dict[str, Any] = {item.name: _definition(name, item) for item in specs}
    return create_model(name, __base__=Record, **parts)


def _definition(owner: str, item: FieldSpec) -> tuple[Any, Any]:
    extra: dict[str, Any] = {
        "max_length": item.max_length,
        "max_items": item.max_items,
        "asked": item.asked,
    }
    if item.choices:
        extra["choices"] = list(item.choices)
    extra_json = cast("Any", extra)
    if item.kind is Kind.LIST:
        element: Any = (
            _model_of(f"{owner}.{item.name}", item.children)
            if item.children
            else _ANNOTATION[item.element]
        )
        annotation: Any = tuple[element, ...]
        default: Any = ()
    elif item.kind is Kind.OBJECT:
        annotation, default = _model_of(f"{owner}.{item.name}", item.children), None
    elif item.kind is Kind.CHOICE:
        annotation, default = Literal[item.choices], None
    else:
        annotation, default = _ANNOTATION[item.kind], None
    if item.required:
        return annotation, Field(description=item.description, json_schema_extra=extra_json)
    if default is None:
        annotation = Union[annotation, None]  # noqa: UP007 - built at run time
    return annotation, Field(
        default=default, description=item.description, json_schema_extra=extra_json
    )
