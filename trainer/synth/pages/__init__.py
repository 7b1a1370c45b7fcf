"""Whole pages with their truth: HTML -> one printed page -> Markdown, unit tests, a graph.

    words -> blocks -> HTML -> rendered and measured -> truth -> tests -> shards

The page and all that is said about it come from the same HTML, after what did not fit was cut.
"""
