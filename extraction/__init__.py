"""The domain: what a document is, what we ask of it, and what counts as an answer."""
