"""The pages for people: queue, review, upload, held corrections, versions, types, reference."""
