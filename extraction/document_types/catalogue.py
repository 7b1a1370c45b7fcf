"""The document types that every caller has."""

from collections.abc import Mapping
from types import MappingProxyType

from extraction.document_types.base import DocumentType
from extraction.document_types.passport import PASSPORT
from extraction.document_types.receipt import RECEIPT

BUILT_IN: Mapping[str, DocumentType] = MappingProxyType(
    {document_type.name: document_type for document_type in (RECEIPT, PASSPORT)}
)
