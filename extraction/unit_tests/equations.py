r"""The equations of a page: what stands between delimiters."""

_BRACKETS = ((r"\(", r"\)"), (r"\[", r"\]"))
_DOLLARS = (("$$", "$$"), ("$", "$"))


def equations_in(content: str, *, dollars: bool) -> list[str]:
    r"""Sources of the equations, stripped, one kind of delimiter after the other.

    What one kind has found is taken out before the next looks, so that `$$` is not read as two
    `$`. An equation has at least one character and may run over lines. One pass a kind.

    Args:
        content: Markdown.
        dollars: whether `$` and `$$` are delimiters.
    """
    found: list[str] = []
    for begin, end in (*_BRACKETS, *(_DOLLARS if dollars else ())):
        sources, content = _between(content, begin, end)
        found += [source.strip() for source in sources]
    return found


def _between(content: str, begin: str, end: str) -> tuple[list[str], str]:
    """The texts between delimiters, and what is left without them."""
    sources, kept, at = [], [], 0
    while (opened := content.find(begin, at)) >= 0:
        inside = opened + len(begin)
        # At least one character; without an end here no later begin has one either.
        closed = content.find(end, inside + 1)
        if closed < 0:
            break
        sources.append(content[inside:closed])
        kept.append(content[at:opened])
        at = closed + len(end)
    kept.append(content[at:])
    return sources, "".join(kept)
