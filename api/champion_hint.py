"""What was served last, in a file: a restart begins with it and need not wait for the database.

The database decides in the end (`api.champion_watch`); a hint that is missing, damaged or wrong
costs a swap after the start and nothing else. There is none where the configured folder is served.
"""

import json
from dataclasses import dataclass
from pathlib import Path

FILE = "champion.json"


@dataclass(frozen=True, slots=True)
class Hint:
    """The version that was served last, and where it is."""

    version: str
    folder: Path


def read_hint(data_dir: Path) -> Hint | None:
    """The hint in a data folder; None where there is none that can be read."""
    try:
        content = json.loads((data_dir / FILE).read_text())
        version, folder = content["version"], content["folder"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if not (isinstance(version, str) and isinstance(folder, str) and version and folder):
        return None
    return Hint(version, Path(folder))


def write_hint(data_dir: Path, hint: Hint | None) -> None:
    """Replace the hint, whole or not at all; None removes it.

    Raises:
        OSError: the folder cannot be written.
    """
    path = data_dir / FILE
    if hint is None:
        path.unlink(missing_ok=True)
        return
    data_dir.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    new.write_text(json.dumps({"version": hint.version, "folder": str(hint.folder)}))
    new.replace(path)
