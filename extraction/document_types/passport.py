"""The passport and its relatives: every document with an ICAO 9303 machine-readable zone."""

from typing import Literal

from extraction.document_types.base import DocumentType
from extraction.document_types.record import (
    Code,
    Country,
    Date,
    Record,
    Text,
    fields_of,
    spec,
)


class MachineReadableZone(Record):
    """The zone itself; read by code from the lines, never answered by the model."""

    lines: tuple[Code, ...] = spec("The lines of the zone, upper case", many=True, asked=False)


class Passport(Record):
    """A travel document: TD3, TD1, TD2, MRV-A or MRV-B."""

    document_type: Code | None = spec("Type as printed, P for a passport", max_length=10)
    document_number: Code | None = spec("Number of the document", max_length=30)
    issuing_country: Country | None = spec("Code of the issuing state", max_length=60)
    surname: Text | None = spec("Surname, primary identifier", max_length=100)
    given_names: Text | None = spec("Given names, secondary identifier", max_length=100)
    nationality: Country | None = spec("Nationality, as printed", max_length=60)
    date_of_birth: Date | None = spec("Date of birth, as printed", max_length=40)
    sex: Literal["M", "F", "X"] | None = spec("Sex: M, F or X")
    place_of_birth: Text | None = spec("Place of birth", max_length=100)
    date_of_issue: Date | None = spec("Date of issue, as printed", max_length=40)
    date_of_expiry: Date | None = spec("Date of expiry, as printed", max_length=40)
    place_of_issue: Text | None = spec("Place of issue", max_length=100)
    issuing_authority: Text | None = spec("Authority that issued it", max_length=100)
    personal_number: Code | None = spec("Personal or national number", max_length=40)
    mrz: MachineReadableZone | None = spec("The machine-readable zone", asked=False)


PASSPORT = DocumentType(
    name="passport",
    version=1,
    fields=fields_of(Passport),
    description="A passport, identity card or visa with a machine-readable zone.",
)
