"""What a document type is: named fields of known kinds, and the record they make.

A type is a tree of `FieldSpec`. Everything that depends on a type is derived from that tree: the
fields that a prompt lists, the JSON Schema that constrains decoding, the Pydantic model that
validates a record, how a value is normalised and how it is scored.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

from extraction.errors import UnknownField


class Kind(StrEnum):
    """What a leaf field holds; decides normalisation, scoring and the JSON type of its value."""

    TEXT = "text"  # free text, compared fuzzily
    MARKDOWN = "markdown"  # text of many lines; compared by normalised edit distance
    CODE = "code"  # an identifier, compared exactly
    LABEL = "label"  # a name that no document prints, as an id within the record
    MONEY = "money"  # Decimal, a decimal string in JSON
    NUMBER = "number"  # Decimal, a decimal string in JSON
    INTEGER = "integer"
    RATE = "rate"  # a share from 0 to 1, Decimal; "6 %" is 0.06
    DATE = "date"  # ISO 8601
    TIME = "time"  # HH:MM:SS
    COUNTRY = "country"  # ISO 3166-1 alpha-3, with ICAO 9303's additions
    CURRENCY = "currency"  # ISO 4217
    BOOLEAN = "boolean"
    CHOICE = "choice"  # one of `choices`
    OBJECT = "object"  # has `children`
    LIST = "list"  # of `children`, or of one leaf where `children` is empty


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """One field of a document type.

    Attributes:
        name: the key in the record, snake_case.
        kind: what it holds.
        description: one line for a reader, and for a model that was not trained on this type.
        children: the fields of an OBJECT, or of each element of a LIST.
        choices: the accepted values of a CHOICE.
        element: the kind of a LIST's elements where it has no children.
        max_length: most characters of a leaf's text, bounds the grammar.
        max_items: most elements of a LIST, bounds the grammar.
        asked: whether the model is asked for it; a field that code alone fills (the MRZ) is not.
        required: whether a caller's schema demands it. Built-in types demand nothing.
    """

    name: str
    kind: Kind
    description: str = ""
    children: tuple["FieldSpec", ...] = ()
    choices: tuple[str, ...] = ()
    element: Kind = Kind.TEXT
    max_length: int = 200
    max_items: int = 100
    asked: bool = True
    required: bool = False


@dataclass(frozen=True, slots=True)
class DocumentType:
    """A kind of document and its fields.

    Attributes:
        name: "receipt", "passport", or a caller's own.
        version: grows with each change of a caller's type; 1 for those built in.
        fields: the top-level fields, in the order in which they are asked and answered.
        description: one sentence.
    """

    name: str
    version: int
    fields: tuple[FieldSpec, ...]
    description: str = ""

    @property
    def field_names(self) -> tuple[str, ...]:
        """Names of the top-level fields."""
        return tuple(field.name for field in self.fields)

    def select(self, names: tuple[str, ...] | None) -> "DocumentType":
        """The same type with only the named top-level fields, in the type's own order.

        Raises:
            UnknownField: a name that this type does not have.
        """
        if not names:
            return self
        unknown = tuple(name for name in names if name not in self.field_names)
        if unknown:
            raise UnknownField(unknown, self.name, self.field_names)
        return replace(self, fields=tuple(f for f in self.fields if f.name in names))

    def field(self, path: str) -> FieldSpec:
        """The specification at a record path such as "items.0.unit_price".

        Raises:
            UnknownField: nothing is there.
        """
        specs, found = self.fields, None
        for part in path.split("."):
            if part.isdigit() and found is not None and found.kind is Kind.LIST:
                continue
            found = next((spec for spec in specs if spec.name == part), None)
            if found is None:
                raise UnknownField((path,), self.name, self.field_names)
            specs = found.children
        if found is None:
            raise UnknownField((path,), self.name, self.field_names)
        return found


def leaves(fields: tuple[FieldSpec, ...], prefix: str = "") -> Iterator[tuple[str, FieldSpec]]:
    """Each leaf below `fields` with its path; a list's elements are written as `*`."""
    for spec in fields:
        path = f"{prefix}{spec.name}"
        if spec.kind is Kind.OBJECT:
            yield from leaves(spec.children, f"{path}.")
        elif spec.kind is Kind.LIST and spec.children:
            yield from leaves(spec.children, f"{path}.*.")
        else:
            yield path, spec
