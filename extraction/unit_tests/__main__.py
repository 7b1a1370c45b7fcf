"""The tests of a benchmark over the outputs of a model.

    python -m extraction.unit_tests TESTS.jsonl... --outputs FOLDER [--baselines]

Prints one JSON object a test: `id`, `type`, `passed`, `why`. FOLDER has `NAME_pg1_repeat1.md` for
page 1 of `NAME.pdf`, in the same subfolders. Ends with 0 whatever the verdicts, with 2 where a
file cannot be read or a test says nothing that could be checked.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from extraction.unit_tests.cases import InvalidCase
from extraction.unit_tests.files import load_cases
from extraction.unit_tests.outputs import Outputs, with_baselines


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the verdicts; the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m extraction.unit_tests", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument(
        "tests", type=Path, nargs="+", help="files of tests, one JSON object a line"
    )
    parser.add_argument("--outputs", type=Path, required=True, help="the folder of Markdown files")
    parser.add_argument(
        "--baselines",
        action="store_true",
        help="add a baseline test for each document without one, as the original's benchmark does",
    )
    options = parser.parse_args(arguments)
    if not options.outputs.is_dir():
        print(f"{options.outputs} is no folder.", file=sys.stderr)  # noqa: T201  # a command
        return 2
    try:
        cases = [case for path in options.tests for case in load_cases(path)]
    except (InvalidCase, OSError, UnicodeDecodeError) as error:
        print(error, file=sys.stderr)  # noqa: T201  # a command
        return 2
    outputs = Outputs(options.outputs)
    for case in with_baselines(cases) if options.baselines else cases:
        verdict = outputs.verdict(case)
        line = {"id": case.id, "type": case.type, "passed": verdict.passed, "why": verdict.why}
        print(json.dumps(line, ensure_ascii=False), flush=True)  # noqa: T201  # a command
    return 0


if __name__ == "__main__":
    sys.exit(main())
