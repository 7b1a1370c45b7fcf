"""What a cycle would use and what came of it, as tables for a terminal."""

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from trainer.cycle import CycleOutcome, CyclePlan
    from trainer.manifest import Manifest


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits, beside the plan itself.

    Attributes:
        new_count: accepted corrections that no finished cycle has seen.
        least_count: the profile's `data.least_examples`.
        held_count: corrections that wait for a second person.
        unfinished: the run that would be taken up instead; None where there is none.
    """

    new_count: int
    least_count: int
    held_count: int
    unfinished: UUID | None


def plan_table(plan: "CyclePlan", backlog: Backlog) -> Table:
    """What `docloop train --dry-run` shows."""
    table = _table()
    table.add_row("champion", escape(plan.champion))
    if backlog.unfinished is not None:
        table.add_row("unfinished run", f"{backlog.unfinished} would be taken up instead")
    missing = backlog.least_count - backlog.new_count
    said = f"[yellow]{missing} more are needed[/]" if missing > 0 else "enough"
    table.add_row("new corrections", f"{backlog.new_count} of {backlog.least_count}, {said}")
    table.add_row("held for a second person", str(backlog.held_count))
    for document_type, parts in counts(plan.dataset.manifest).items():
        listed = ", ".join(f"{part} {count}" for part, count in sorted(parts.items()))
        table.add_row(escape(document_type), listed)
    dropped = Counter(item.reason for item in plan.dataset.manifest.dropped)
    for reason, count in sorted(dropped.items()):
        table.add_row("left out", f"{count}: {escape(reason)}")
    for name, count in sorted(plan.golden_count.items()):
        table.add_row("golden set", f"{escape(name)}, {count} documents")
    table.add_row("SFT", f"about {plan.sft_steps} steps")
    for level in plan.grpo_runs:
        table.add_row("GRPO", f"{plan.grpo_steps} steps, {level}-level importance sampling")
    return table


def outcome_table(outcome: "CycleOutcome") -> Table:
    """The end of `docloop train`."""
    table = _table()
    table.add_row("run", str(outcome.run_id))
    table.add_row("candidate", escape(outcome.candidate or "none"))
    result = "[green]promoted[/]" if outcome.promoted else "[yellow]not promoted[/]"
    table.add_row("result", result)
    for number, reason in enumerate(outcome.reasons):
        table.add_row("" if number else "gate", escape(reason))
    if outcome.report is not None:
        table.add_row("report", escape(str(outcome.report)))
    return table


def counts(manifest: "Manifest") -> dict[str, Counter[str]]:
    """Document type -> part -> how many; generated examples are the part "base"."""
    found: dict[str, Counter[str]] = {}
    for entry in manifest.entries:
        parts = found.setdefault(entry.document_type, Counter())
        parts[entry.subset or str(entry.part)] += 1
    for generated in manifest.base:
        found.setdefault(generated.document_type, Counter())["base"] += 1
    return dict(sorted(found.items()))


def _table() -> Table:
    table = Table("", "", box=None, pad_edge=False, show_header=False)
    table.columns[0].no_wrap = True
    table.columns[1].overflow = "fold"
    return table
