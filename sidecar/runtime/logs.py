"""The log of the `mc-sidecar` command: one line on stderr for each change of state, as JSON or for a console.

The modules log through the standard library (`logging.getLogger(__name__)`, figures in `extra`) and this set-up
renders every record with structlog. So an application that embeds the service keeps the logging it has, pays no
import of structlog, and aiohttp's and asyncio's records come out in the same form here.
"""

import logging
import math
import re
from collections.abc import Mapping
from typing import Any, Final

from sidecar.config.kinds import LogFormat, LogLevel
from sidecar.config.redaction import Redactor
from sidecar.config.settings import Settings
from sidecar.runtime.absent import absent

with absent("rich"):  # structlog would import it for its own tracebacks: 3 MiB of each sidecar, and ours are plain
    from structlog.dev import ConsoleRenderer, plain_traceback
    from structlog.processors import JSONRenderer, TimeStamper, format_exc_info
    from structlog.stdlib import ExtraAdder, ProcessorFormatter, add_log_level, add_logger_name
    from structlog.typing import EventDict, Processor, WrappedLogger

_PLACE: Final = re.compile(
    r'^([ |]*File "[^"]*/(?:sidecar|site-packages|asyncio)/[^"]*", line \d+, in \S+)$', re.MULTILINE
)
_FIRST: Final = ("timestamp", "level", "logger", "event")


def configure_logging(level: LogLevel, log_format: LogFormat, redactor: Redactor) -> None:
    """Send every record of the process from this level up to stderr, without secrets.

    A line has `timestamp` (ISO 8601, UTC), `level`, `logger`, `event`, what was given as `extra`, and `exception`.
    """

    def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        ordered = {key: event[key] for key in _FIRST} | dict(event)
        cleaned = {key: _clean(value, redactor) for key, value in ordered.items()}
        if isinstance(traceback := event.get("exception"), str):
            cleaned["exception"] = _clean_traceback(traceback, redactor)
        return cleaned

    renderer: Processor = JSONRenderer()
    if log_format == "console":
        renderer = ConsoleRenderer(colors=False, exception_formatter=plain_traceback)
    handler = logging.StreamHandler()
    handler.setFormatter(
        ProcessorFormatter(
            foreign_pre_chain=[TimeStamper(fmt="iso", utc=True), add_log_level, add_logger_name, ExtraAdder()],
            processors=[ProcessorFormatter.remove_processors_meta, format_exc_info, redact, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    logging.captureWarnings(capture=True)


def format_in_effect(settings: Settings, *, terminal: bool) -> LogFormat:
    """Return the format as written in the settings, else console when stderr is a terminal."""
    return "console" if terminal and "log.format" not in settings.written else settings.log.format


def _clean_traceback(text: str, redactor: Redactor) -> str:
    """Redact a traceback but for the lines that name a module: a URL's path may be the name of one."""
    parts = enumerate(_PLACE.split(text))
    return "".join(part if number % 2 else redactor.redact(part) for number, part in parts)


def _clean(value: Any, redactor: Redactor) -> Any:
    """Redact every text in a value, and leave nothing that JSON cannot say."""
    if value is None or isinstance(value, int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {redactor.redact(str(key)): _clean(item, redactor) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean(item, redactor) for item in value]
    return redactor.redact(str(value))
