"""Word banks, one TOML file per subject, read once."""

import tomllib
from functools import cache
from importlib.resources import files
from typing import Any


@cache
def bank(name: str) -> dict[str, Any]:
    """The tables of `name`.toml; callers must not change them."""
    return tomllib.loads((files(__package__) / f"{name}.toml").read_text(encoding="utf-8"))
