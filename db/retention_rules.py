"""For how long predictions are kept, by tenant and type.

    DOCLOOP_RETENTION="passport=30, acme/receipt=365, acme/*=730, *=3650"

A rule is [tenant/]type=days. The most particular one counts: tenant and type, then the tenant's
`*`, then the type for all tenants, then `*` for all. What no rule names is kept.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

ANY = "*"
_RULE = re.compile(r"(?:(?P<tenant>[^/=,]+)/)?(?P<type>[^/=,]+)=(?P<days>\d{1,5})")


@dataclass(frozen=True, slots=True)
class Rule:
    """Predictions of this tenant and type are erased so many days after they were asked for."""

    tenant: str
    document_type: str
    days: int


def parse_rules(text: str) -> tuple[Rule, ...]:
    """Rules as they are written in `DOCLOOP_RETENTION`.

    Raises:
        ValueError: names the part that is no rule, or that says the same twice.
    """
    rules: dict[tuple[str, str], Rule] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        found = _RULE.fullmatch(part)
        if found is None or int(found["days"]) < 1:
            raise ValueError(f"{part!r} is no rule; write [tenant/]type=days, as passport=30")
        rule = Rule(found["tenant"] or ANY, found["type"], int(found["days"]))
        if (rule.tenant, rule.document_type) in rules:
            raise ValueError(f"{part!r} is the second rule for the same")
        rules[rule.tenant, rule.document_type] = rule
    return tuple(rules.values())


def days_kept(rules: Sequence[Rule], tenant: str, document_type: str) -> int | None:
    """For how many days; None for ever."""
    by_name = {(rule.tenant, rule.document_type): rule.days for rule in rules}
    for key in ((tenant, document_type), (tenant, ANY), (ANY, document_type), (ANY, ANY)):
        if key in by_name:
            return by_name[key]
    return None
