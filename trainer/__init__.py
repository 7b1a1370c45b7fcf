"""Training: from the corrections in Postgres to a better model."""
