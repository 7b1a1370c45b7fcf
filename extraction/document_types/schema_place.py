"""A part of a caller's schema: what stands there, where it stands, and what is wrong with it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from extraction.document_types.schema_advice import ADVICE
from extraction.errors import InvalidType

# Keywords that explain and do not constrain; accepted everywhere.
NOTES = frozenset({"title", "description", "examples", "$comment", "default"})


@dataclass(frozen=True, slots=True)
class Place:
    """A part of the schema.

    Attributes:
        schema: its content.
        pointer: JSON pointer to it, "" for the root.
        references: names of the definitions that led to it.
        is_nullable: it stands in an `anyOf` with null.
    """

    schema: Mapping[str, Any]
    pointer: str
    references: tuple[str, ...] = ()
    is_nullable: bool = False

    def fault(self, why: str, *keys: str | int) -> InvalidType:
        """An error at this place, or below it at `keys`."""
        return InvalidType("/".join([self.pointer, *(escaped(key) for key in keys)]), why)

    def child(self, *keys: str | int) -> "Place":
        """The schema below this place at `keys`.

        Raises:
            InvalidType: there is no JSON object.
        """
        content: Any = self.schema
        for key in keys:
            content = content[key]
        pointer = "/".join([self.pointer, *(escaped(key) for key in keys)])
        if content is False or content is True:
            raise InvalidType(pointer, "a schema of true or false says nothing; give it a type")
        if not isinstance(content, Mapping):
            raise InvalidType(pointer, "a schema is a JSON object")
        return Place(content, pointer, self.references)

    def refuse_unknown(self, known: frozenset[str]) -> None:
        """Raises InvalidType at the first keyword that is not among `known`, with advice."""
        for keyword in self.schema:
            if keyword in known:
                continue
            listed = ", ".join(sorted(known - NOTES))
            raise self.fault(
                ADVICE.get(keyword, f"this keyword is not supported here; supported are {listed}"),
                keyword,
            )

    def whole(self, keyword: str, default: int, most: int) -> int:
        """The value of a keyword that is a whole number from 1 to `most`."""
        value = self.schema.get(keyword, default)
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
            raise self.fault(f"it must be a whole number from 1 to {most}", keyword)
        return value


def escaped(key: str | int) -> str:
    """A key as a token of a JSON pointer (RFC 6901)."""
    return str(key).replace("~", "~0").replace("/", "~1")
