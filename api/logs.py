"""One JSON object a line for everything that this process says, and never a value in one.

What is kept out, and how:

- field values, images, keys: no call of ours logs one; `Redactor` is the last defence behind that;
- raw paths and query strings: `api.trace` logs the route's template;
- messages of exceptions (pydantic and database drivers quote values there): only the types of the
  chain and the places in the code are logged, and no local variable;
- lines of other libraries: below WARNING only those of the server and the queue, and of each only
  the first line.
"""

import logging
import logging.config
import re
import sys
import traceback
from collections.abc import Mapping
from logging.handlers import RotatingFileHandler
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

import structlog
from structlog.types import EventDict, Processor, WrappedLogger

from extraction.errors import DocloopError

OUR_LOGGERS = ("api", "db", "extraction", "migrations", "docloop")
# The server says where it listens, the queue what it starts, the migrations which one runs.
TALKATIVE_LOGGERS = ("uvicorn", "procrastinate", "alembic")
_LOG_BYTES = 20_000_000
_LOG_FILES = 5
_LONGEST_TEXT = 500
_SHORTEST_SECRET = 8  # shorter ones would black out ordinary words
_DEEPEST = 6
_REQUEST_ID = "request_id"
_SANE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_OUR_KEY = re.compile(r"dl_[A-Za-z0-9_-]{6,}")
_BEARER = re.compile(r"(?i)\b(bearer|basic)\s+[^\s\"',}]+")
_SECRET_NAME = re.compile(
    r"(?i)authorization|cookie|password|secret|token$|api_?key$|credential|^(body|content|image)$"
)
_SQLSTATE = re.compile(r"[0-9A-Z]{5}")
_REDACTED = "[redacted]"

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]


def request_id() -> str | None:
    """The id of the request that this task serves; None outside of one."""
    found = structlog.contextvars.get_contextvars().get(_REQUEST_ID)
    return found if isinstance(found, str) else None


def is_sane_id(text: str) -> bool:
    """Whether a caller's X-Request-ID may be taken over: a short token that is none of our keys."""
    return bool(_SANE_ID.fullmatch(text)) and not _OUR_KEY.search(text)


class Redactor:
    """A structlog processor that takes out what looks like a secret, wherever it stands.

    Args:
        secrets: texts that are secrets of this service, whatever they look like.
    """

    def __init__(self, secrets: tuple[str, ...] = ()) -> None:
        long = sorted({s for s in secrets if len(s) >= _SHORTEST_SECRET}, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, long))) if long else None

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        """The event, cleaned."""
        return {
            name: _REDACTED if _SECRET_NAME.search(name) else self.clean(value)
            for name, value in event.items()
        }

    def clean(self, value: Any, depth: int = 0) -> Any:
        """A value without secrets, and of a size for a log."""
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, bytes | bytearray | memoryview):
            return f"[{len(value)} bytes]"
        if isinstance(value, Mapping) and depth < _DEEPEST:
            return {
                str(k): _REDACTED if _SECRET_NAME.search(str(k)) else self.clean(v, depth + 1)
                for k, v in value.items()
            }
        if isinstance(value, list | tuple | set | frozenset) and depth < _DEEPEST:
            return [self.clean(item, depth + 1) for item in value]
        if isinstance(value, BaseException):
            return type(value).__name__
        return self.clean_text(str(value))

    def clean_text(self, text: str) -> str:
        """A text without secrets."""
        text = _OUR_KEY.sub(_REDACTED, _BEARER.sub(rf"\1 {_REDACTED}", text))
        if self._known is not None:
            text = self._known.sub(_REDACTED, text)
        return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}..."


def describe_exception(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Replaces `exc_info` by the types of the chain and their stack frames, without messages."""
    given = event.pop("exc_info", None)
    event.pop("stack_info", None)
    error = _error_of(given)
    if error is not None:
        event["exception"] = exception_facts(error)
    return event


def exception_facts(error: BaseException) -> list[dict[str, Any]]:
    """The chain of an exception, outermost first: type, safe facts, frames.

    Safe facts are the slug of an error of ours, the SQLSTATE of the database and the number of an
    error of the operating system.
    """
    facts: list[dict[str, Any]] = []
    seen: set[int] = set()
    pending: list[BaseException] = [error]
    while pending and len(facts) < _DEEPEST:
        current = pending.pop(0)
        if id(current) in seen:
            continue
        seen.add(id(current))
        fact: dict[str, Any] = {"type": f"{type(current).__module__}.{type(current).__qualname__}"}
        if isinstance(current, DocloopError):
            fact["slug"] = current.slug
        errno, sqlstate = getattr(current, "errno", None), getattr(current, "sqlstate", None)
        # OSError takes the first of two arguments for its number, whatever it is.
        if isinstance(errno, int):
            fact["errno"] = errno
        if isinstance(sqlstate, str) and _SQLSTATE.fullmatch(sqlstate):
            fact["sqlstate"] = sqlstate
        fact["frames"] = [
            f"{Path(frame.filename).name}:{frame.lineno} {frame.name}"
            for frame in traceback.extract_tb(current.__traceback__)
        ]
        facts.append(fact)
        if isinstance(current, BaseExceptionGroup):
            pending += current.exceptions
        if current.__cause__ is not None:
            pending.append(current.__cause__)
        elif current.__context__ is not None and not current.__suppress_context__:
            pending.append(current.__context__)
    return facts


def _error_of(given: Any) -> BaseException | None:
    if isinstance(given, BaseException):
        return given
    if isinstance(given, tuple):
        return given[1] if len(given) > 1 and isinstance(given[1], BaseException) else None
    return sys.exc_info()[1] if given else None


def first_line_of_strangers(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Keeps the first line of what another library says.

    asyncio, for one, quotes the exception of a lost task in the lines below.
    """
    record = event.get("_record")
    if record is not None and record.name.split(".")[0] not in OUR_LOGGERS:
        event["event"] = str(event.get("event", "")).split("\n", 1)[0]
        event.pop("positional_args", None)
    return event


def make_formatter(secrets: tuple[str, ...] = ()) -> structlog.stdlib.ProcessorFormatter:
    """What turns any record, structlog's or a stranger's, into one line of JSON."""
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*_shared(), first_line_of_strangers],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            describe_exception,
            Redactor(secrets),
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        keep_exc_info=False,
        keep_stack_info=False,
    )


def configure_logs(
    *,
    level: str = "info",
    file: Path | None = None,
    stream: TextIO | None = None,
    secrets: tuple[str, ...] = (),
) -> None:
    """Send every log line of this process there, as JSON.

    Args:
        level: the least severe line of our own that is kept.
        file: rotated at 20 MB, five older ones are kept.
        stream: written to as well; stdout where neither is given.
        secrets: texts that must never stand in a line.
    """
    handlers: list[logging.Handler] = []
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        handlers.append(
            RotatingFileHandler(file, maxBytes=_LOG_BYTES, backupCount=_LOG_FILES, encoding="utf-8")
        )
    if stream is not None or not handlers:
        handlers.append(logging.StreamHandler(stream or sys.stdout))
    formatter = make_formatter(secrets)
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
        old.close()
    for handler in handlers:
        handler.setFormatter(formatter)
        root.addHandler(handler)
    root.setLevel(logging.WARNING)
    for name in (*OUR_LOGGERS, *TALKATIVE_LOGGERS):
        ours = name in OUR_LOGGERS
        logging.getLogger(name).setLevel(level.upper() if ours else logging.INFO)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        server = logging.getLogger(name)
        server.handlers.clear()
        server.propagate = True
    logging.captureWarnings(capture=True)
    # A handler that fails must not print the record with its arguments.
    logging.raiseExceptions = False
    configure_structlog(secrets)


def configure_structlog(secrets: tuple[str, ...] = ()) -> None:
    """Our own lines are clean before they reach any handler, whoever has set up the handlers."""
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_shared(),
            describe_exception,
            Redactor(secrets),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        # A logger of a module is made once, and reconfigured by a second call (tests).
        cache_logger_on_first_use=False,
    )


def _shared() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
