"""Tables of lines with pipes."""

from itertools import groupby

from extraction.unit_tests.tables import Source, Table

_LEAST_LINES = 2
_RULE = frozenset("- :")
_RULE_OR_PIPE = frozenset("- :|")


def markdown_tables(content: str) -> list[Table]:
    """Every run of two or more lines that have a pipe.

    The first row and the first column are headings. Lines of dashes, colons and pipes are no rows.
    """
    lines = content.strip().split("\n")
    tables = []
    for has_pipe, group in groupby(lines, key=lambda line: "|" in line):
        block = list(group)
        if has_pipe and len(block) >= _LEAST_LINES:
            table = Table(_rows(block))
            if table.cells:
                tables.append(table)
    return tables


def _rows(lines: list[str]) -> list[list[Source]]:
    written = [_cells(line) for line in _without_rules(lines)]
    return [
        [Source(text, heading=number == 0 or column == 0) for column, text in enumerate(texts)]
        for number, texts in enumerate(texts for texts in written if texts)
    ]


def _without_rules(lines: list[str]) -> list[str]:
    """Without the line below the head, which may hold other white space, and without its like."""
    head_rule = next((number for number, line in enumerate(lines) if _is_rule(line)), None)
    return [
        line
        for number, line in enumerate(lines)
        if number != head_rule and not (line.strip() and _RULE_OR_PIPE.issuperset(line))
    ]


def _is_rule(line: str) -> bool:
    dashes = line.replace("|", "").strip()
    return bool(dashes) and _RULE.issuperset(dashes)


def _cells(line: str) -> list[str]:
    """The texts between pipes, without the empty ones that a leading and a trailing pipe make."""
    texts = [text.strip() for text in line.split("|")]
    if texts and not texts[0]:
        texts = texts[1:]
    if texts and not texts[-1]:
        texts = texts[:-1]
    return texts
