"""Questions to the tables, one file per aggregate.

Each takes an `AsyncSession`, and the tenant wherever rows belong to one. Queries flush; the edge
commits.
"""
