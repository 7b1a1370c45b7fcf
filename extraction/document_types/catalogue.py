"""The document types that every caller has."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from extraction.document_types.base import DocumentType
from extraction.document_types.document import DOCUMENT
from extraction.document_types.graph import GRAPH, graph_type, is_graph
from extraction.document_types.passport import PASSPORT
from extraction.document_types.receipt import RECEIPT

BUILT_IN: Mapping[str, DocumentType] = MappingProxyType(
    {document_type.name: document_type for document_type in (RECEIPT, PASSPORT, DOCUMENT, GRAPH)}
)


def as_asked(document_type: DocumentType, options: Mapping[str, Any]) -> DocumentType:
    """The type as the options of a request narrow it: a graph to the types that were named.

    Args:
        document_type: as it is known by its name.
        options: of a request, or of the row of its prediction.

    Raises:
        InvalidType: the options name types that cannot be.
    """
    entity_types = options.get("entity_types")
    if not is_graph(document_type) or not entity_types:
        return document_type
    return graph_type(entity_types, options.get("relation_types") or ())
