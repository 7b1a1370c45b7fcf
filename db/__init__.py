"""Storage: tables, sessions, queries, the blob store and the embedded PostgreSQL."""
