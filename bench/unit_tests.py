"""How fast are the unit tests, and do they judge as their definition: ours beside the naive way.

    python bench/unit_tests.py TESTS.jsonl... --outputs FOLDER [--repeats 20] [--pages 1,4]

Two tables. The first has a row a kind: verdicts of both ways over the folder's pages, and the time
of a test. The second has the texts' tests alone on all pages joined into one and repeated, so that
it shows how the time grows with a page's length. Times are the processor's, of one core. Equations
are rendered anew for each reading of the folder; within one the cache is part of ours.
"""

import argparse
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

from unit_tests_naive import passes

from extraction.unit_tests import Case, Page, load_cases
from extraction.unit_tests.compare import is_seen_in
from extraction.unit_tests.outputs import Outputs
from extraction.unit_tests.rendering import render

Pairs = list[tuple[Case, str]]
_OF_TEXT = ("present", "absent", "order")


def judge(pairs: Pairs) -> list[bool]:
    """Our verdicts: a page is prepared once."""
    pages: dict[str, Page] = {}
    return [case.check(pages.setdefault(content, Page(content))).passed for case, content in pairs]


def judge_naively(pairs: Pairs) -> list[bool]:
    """The verdicts of the naive way."""
    return [passes(case, content) for case, content in pairs]


def timed(
    way: Callable[[Pairs], list[bool]], pairs: Pairs, repeats: int
) -> tuple[list[bool], float]:
    """The verdicts, and the seconds that one reading takes."""
    verdicts: list[bool] = []
    begin = time.process_time()
    for _ in range(repeats):
        render.cache_clear()
        verdicts = way(pairs)
    return verdicts, (time.process_time() - begin) / repeats


def row(name: str, pairs: Pairs, repeats: int) -> str:
    """One row of a table."""
    ours, our_seconds = timed(judge, pairs, repeats)
    naive, naive_seconds = timed(judge_naively, pairs, 1)
    same = sum(map(bool.__eq__, ours, naive))
    return (
        f"| {name} | {len(pairs)} | {sum(ours)} | {same} | {len(pairs) / our_seconds:,.0f} "
        f"| {naive_seconds / our_seconds:.0f} |"
    )


def print_table(rows: Sequence[str], first: str) -> None:
    """A head and its rows."""
    print(f"\n| {first} | tests | passed | same verdict | tests a second | times the naive way |")
    print("|---|---|---|---|---|---|")
    print("\n".join(rows))


def main() -> None:
    """Prints both tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("tests", type=Path, nargs="+")
    parser.add_argument("--outputs", type=Path, required=True)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--pages", default="1,4")
    options = parser.parse_args()
    cases = [case for path in options.tests for case in load_cases(path)]
    outputs = Outputs(options.outputs)
    pairs = [(case, page.content) for case in cases for page in outputs.pages(case.pdf, case.page)]
    assert is_seen_in(render("x"), render("x"))  # noqa: S101 starts the engine, outside the times
    kinds: dict[str, Pairs] = defaultdict(list)
    for case, content in pairs:
        kinds[case.type].append((case, content))
    rows = [row(kind, kinds[kind], options.repeats) for kind in sorted(kinds)]
    print_table([*rows, row("all", pairs, options.repeats)], "kind")
    joined = "\n\n".join(dict.fromkeys(content for _, content in pairs))
    lengths = []
    for times in map(int, options.pages.split(",")):
        long = "\n\n".join([joined] * times)
        name = f"{len(long):,} characters"
        lengths.append(row(name, [(case, long) for case in cases if case.type in _OF_TEXT], 1))
    print_table(lengths, "one page of")


if __name__ == "__main__":
    main()
