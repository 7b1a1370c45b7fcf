"""The shell commands that the documentation shows."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = (*sorted((ROOT / "docs").rglob("*.md")), ROOT / "README.md")
PROGRAMS = {
    *("docloop", "make", "curl", "docker", "kubectl", "promtool", "export"),
    *("tensorboard", "deploy/make-secrets.sh", "python"),
}
SHELL = {"sh", "bash", "shell"}
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_SETTING = re.compile(r"""([A-Z][A-Z0-9_]*)=("[^"]*"|'[^']*'|\S*)\s+""")


@dataclass(frozen=True, slots=True)
class Shown:
    """A command of a page.

    Attributes:
        page: relative to the repository.
        settings: variables that are set before it.
        text: the command without them.
    """

    page: str
    settings: dict[str, str]
    text: str

    @property
    def program(self) -> str:
        """The first word."""
        return self.text.split(maxsplit=1)[0]


def commands_of(page: Path) -> list[Shown]:
    """The commands in a page's fenced blocks, in order.

    A block of a shell holds nothing else. One without a language may be a picture in text; there,
    lines that begin with no known program are left out.
    """
    found = []
    for language, block in _FENCE.findall(page.read_text()):
        if language and language not in SHELL:
            continue
        for line in block.replace("\\\n", " ").splitlines():
            settings, text = _split(re.sub(r"(^|\s)#.*$", "", line).strip())
            if not text:
                continue
            shown = Shown(str(page.relative_to(ROOT)), settings, " ".join(text.split()))
            known = shown.program in PROGRAMS
            assert known or language not in SHELL, f"{shown}: no test knows this program"
            if known:
                found.append(shown)
    return found


def _split(line: str) -> tuple[dict[str, str], str]:
    settings = {}
    while (one := _SETTING.match(line)) is not None:
        settings[one[1]] = one[2].strip("\"'")
        line = line[one.end() :]
    return settings, line
