"""The log of a starting server: kept in a rotated file, and read for how far it is."""

import logging
import re
from collections import deque
from logging.handlers import RotatingFileHandler
from pathlib import Path

_KEPT_LINES = 40
_KEPT_BYTES = 4 * 1024 * 1024
_LONGEST_LINE = 4000
# In order of a start; the first words are vLLM 0.32's own.
_PHASES = (
    (re.compile(r"vLLM API server version|non-default args"), "reading the model's configuration"),
    (re.compile(r"Initializing a V1 LLM engine"), "starting the model process"),
    (re.compile(r"Starting to load model|Loading safetensors"), "loading weights"),
    (re.compile(r"Loading weights took|Model loading took"), "preparing the cache"),
    (re.compile(r"Compiling a graph|Dynamo bytecode"), "compiling the model"),
    (re.compile(r"Warming up|warm up|CPU KV cache size|GPU KV cache size"), "warming up"),
    (re.compile(r"Starting vLLM server|Application startup complete"), "opening its port"),
)
# What vLLM puts before each line: process, level, time and place.
_PREFIX = re.compile(r"^\(\w+ pid=\d+\)\s+(?:[A-Z]+ [\d-]+ [\d:]+ \[[\w.]+:\d+\])?")
_ERROR = re.compile(r"\b(\w*(?:Error|Exception)): (.+)")


class StartLog:
    """Takes the server's output as it comes.

    Args:
        file: kept up to 4 MiB, and two older ones of the same size.
    """

    def __init__(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self._handler = RotatingFileHandler(
            file, maxBytes=_KEPT_BYTES, backupCount=2, encoding="utf-8"
        )
        self._rest = b""
        self._lines: deque[str] = deque(maxlen=_KEPT_LINES)
        self.phase = "starting Python"

    def begin(self) -> None:
        """A new server starts; what the last one said counts no more."""
        self._rest, self.phase = b"", "starting Python"
        self._lines.clear()

    def feed(self, output: bytes) -> None:
        """The next part of the server's output; lines may be split anywhere."""
        *whole, self._rest = (self._rest + output).split(b"\n")
        for raw in whole:
            self._take(raw.decode("utf-8", errors="replace").rstrip())
        if len(self._rest) > _LONGEST_LINE:
            self._take(self._rest.decode("utf-8", errors="replace"))
            self._rest = b""

    def _take(self, text: str) -> None:
        line = text[:_LONGEST_LINE]
        self._lines.append(line)
        self._handler.emit(logging.LogRecord("engine", logging.INFO, "", 0, "%s", (line,), None))
        for pattern, phase in _PHASES:
            if pattern.search(line):
                self.phase = phase

    @property
    def last_lines(self) -> tuple[str, ...]:
        """The last lines, oldest first."""
        return tuple(self._lines)

    def fault(self) -> str:
        """The error that the server ended with, or its last line; "" when it said nothing."""
        lines = self.last_lines
        for index in reversed(range(len(lines))):
            found = _ERROR.search(lines[index])
            if found and "Engine core initialization" not in lines[index]:
                # Pydantic's errors say what is wrong in the lines that follow.
                words = [
                    found[2],
                    *(_PREFIX.sub("", line) for line in lines[index + 1 : index + 3]),
                ]
                return f"{found[1]}: {' '.join(word.strip() for word in words)}".strip()[:500]
        return next((line for line in reversed(self._lines) if line.strip()), "")[:500]

    def close(self) -> None:
        """Closes the file."""
        self._handler.close()
