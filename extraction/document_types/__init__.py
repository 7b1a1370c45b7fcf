"""The kinds of document that Docloop reads, and those that a caller defines."""
