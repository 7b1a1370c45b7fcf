"""How fast are pages made, and do their tests tell a right page from a wrong one?

    python bench/synth_pages.py [--count 1000] [--seed 0] [--tabs 2] [--out FOLDER]

CPU seconds are of this process and of the browser's processes together, so that they can be
compared on a machine that has other work. FOLDER keeps the shards; without it they are thrown away.
"""

import argparse
import asyncio
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Self

import psutil

from trainer.synth.pages.series import Series, SeriesCounts, make_series
from trainer.synth.pages.shards import StoredPage, read_shards
from trainer.synth.pages.variants import ALLOWED, VARIANTS, failed_kinds

KINDS = ("present", "absent", "order", "table", "math", "baseline")


class CpuSeconds:
    """CPU seconds of this process and all below it, those that have ended included."""

    def __init__(self) -> None:
        self._seen: dict[int, float] = {}
        self._ended = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        own = psutil.Process().cpu_times()
        self._begin = own.user + own.system
        self._watcher.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._watcher.join()
        own = psutil.Process().cpu_times()
        self.own = own.user + own.system - self._begin
        self.browser = sum(self._seen.values())

    def _watch(self) -> None:
        while not self._ended.wait(0.5):
            for child in psutil.Process().children(recursive=True):
                try:
                    times = child.cpu_times()
                except psutil.Error:
                    continue
                self._seen[child.pid] = times.user + times.system


def judge(pages: list[StoredPage]) -> list[str]:
    """A row for each variant: the share of failed tests by kind, and what must hold of it."""
    rows = []
    asked = Counter(test["type"] for page in pages for test in page.tests)
    for name, make in VARIANTS.items():
        began, failed, wrong, caught = time.process_time(), Counter[str](), 0, 0
        for page in pages:
            kinds = failed_kinds(make(page), page.tests)
            failed.update(kinds)
            wrong += bool(set(kinds) - ALLOWED[name])
            caught += bool(kinds)
        seconds = time.process_time() - began
        shares = " | ".join(f"{failed[kind] / max(1, asked[kind]):.1%}" for kind in KINDS)
        rows.append(
            f"| {name} | {shares} | {caught} of {len(pages)} | {wrong} "
            f"| {asked.total() / max(seconds, 1e-9):,.0f} |"
        )
    return rows


def main() -> None:
    """Prints two tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tabs", type=int, default=2)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.out or Path(scratch)
        series = Series(folder, options.count, options.seed, tabs=options.tabs)
        began = time.monotonic()
        with CpuSeconds() as cpu:
            counts: SeriesCounts = asyncio.run(make_series(series))
        wall = time.monotonic() - began
        pages = list(read_shards(folder))
        tests = [len(page.tests) for page in pages]
        per_page = (cpu.own + cpu.browser) / len(pages)
        print("| pages | CPU s a page | of it browser | pages a minute and core | wall s |")
        print("|---|---|---|---|---|")
        print(
            f"| {len(pages)} | {per_page:.3f} | {cpu.browser / len(pages):.3f} "
            f"| {60 / per_page:.0f} | {wall:.0f} |"
        )
        print(
            f"\ntests a page: {min(tests)} at least, {sum(tests) / len(tests):.1f} on average; "
            f"dropped {counts.dropped.total()}; layouts thrown away {counts.faults.total()} "
            f"({dict(counts.faults.most_common())}); empty places {len(counts.empty)}\n"
        )
        print(f"| failed tests | {' | '.join(KINDS)} | pages caught | wrong kind | tests/CPU s |")
        print("|---|" + "---|" * (len(KINDS) + 3))
        print("\n".join(judge(pages)))


if __name__ == "__main__":
    main()
