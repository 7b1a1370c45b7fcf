"""What the default model is made from and which tokens it has beyond that; imports no torch."""

from extraction.document_types.passport import PASSPORT
from extraction.document_types.receipt import RECEIPT

NAME = "SmolLM2-135M-Instruct"


def special_tokens() -> tuple[str, ...]:
    """The tokens that the default model has beyond the base: a pair per flat field and thought."""
    names = ["think"]
    for document_type in (PASSPORT, RECEIPT):
        names += [field.name for field in document_type.fields if not field.children]
    return tuple(tag for name in dict.fromkeys(names) for tag in (f"<{name}>", f"</{name}>"))
