"""The popular list while the service runs: watched by content, swapped when it is valid, kept when it is not."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import msgspec

from sidecar.cache.cache import Entry
from sidecar.config.popular import PopularToken, parse_popular
from sidecar.config.yaml_file import MAX_BYTES, unreadable
from sidecar.errors import SettingsError
from sidecar.models import Mint
from sidecar.runtime.disk import ANSWER_SECONDS, Disk, read_regular
from sidecar.service.wiring import Engine

POLL_SECONDS: Final = 1.0
"""A content counts when it is the same twice: a file that is being written is left in peace."""
PARSE_SECONDS: Final = 60.0
"""10,000 tokens are two seconds of work, which a throttled processor stretches."""
MISTAKES_SHOWN: Final = 20

log = logging.getLogger(__name__)


class PopularList:
    """The popular list in force, and the file that it comes from, if any. `changed` hears of a new list.

    Contents are compared and not times: a ConfigMap changes by a symlink that points elsewhere.
    """

    def __init__(self, engine: Engine, changed: Callable[[], None], redact: Callable[[str], str]) -> None:
        self._path = engine.settings.popular_path
        self._engine = engine
        self._changed = changed
        self._redact = redact
        self._disk = Disk()
        self._seen = ""
        self._judged = ""
        self._mistakes: Sequence[str] = engine.settings.popular_mistakes
        self._origin = "file" if self._path is not None and not self._mistakes else "built in"
        self._lock = asyncio.Lock()
        engine.metrics.reload_successful.set(not self._mistakes)
        if not self._mistakes:
            engine.metrics.reload_timestamp.set(engine.clock.time())

    @property
    def is_missing(self) -> bool:
        """Whether the file's own list could not be used at the start, and is not in force yet."""
        return bool(self._mistakes) and self._origin != "file"

    def adopt(self, tokens: Sequence[PopularToken]) -> None:
        """Put the list of a snapshot in force, as much of it as has room."""
        swap(self._engine, tokens[: self._engine.settings.tracking.max_tokens])
        self._origin = "snapshot"

    def announce(self) -> None:
        """Say at the start that the file's list is not in force, and which is."""
        if self._mistakes:
            extra = {"in_force": self._origin, "mistakes": _first(self._mistakes)}
            log.error("popular list refused, started on another one", extra=extra)

    def status(self) -> dict[str, Any]:
        """Return where the list in force is from, and what is wrong with the one in the file."""
        tokens = len(self._engine.symbols)
        mistakes = list(map(self._redact, _first(self._mistakes)))
        return {"in_force": self._origin, "tokens": tokens, "file": self._shown_path(), "mistakes": mistakes}

    async def run(self) -> None:
        """Look at the file again and again, until cancelled."""
        while True:
            await self.look()
            await self._engine.clock.sleep(POLL_SECONDS)

    async def look(self) -> None:
        """Read the file if its content is another one, and the same as at the last look."""
        async with self._lock:
            found = await self._fingerprint()
            is_stable, self._seen = found == self._seen, found
            if is_stable and found != self._judged:
                await self._judge(found)

    async def reload(self) -> bool:
        """Read the file now. Returns whether its list is in force; a bad one changes nothing and is logged."""
        if self._path is None:
            return True
        async with self._lock:
            return await self._judge(await self._fingerprint())

    async def _fingerprint(self) -> str:
        """Return what tells one content from another, or one reason why there is none from another."""
        try:
            return await self._disk.do(partial(_digest, self._file), ANSWER_SECONDS)
        except OSError as error:
            return f"unreadable: {error.strerror}"

    async def _judge(self, found: str) -> bool:
        """Put the list in force if it is good. What the file holds by now may be newer than what was `found`."""
        self._judged = found
        most = self._engine.settings.tracking.max_tokens
        try:
            content = await self._disk.do(partial(read_regular, self._file, MAX_BYTES + 1), ANSWER_SECONDS)
            tokens = await self._disk.do(partial(parse_popular, self._file, content, most), PARSE_SECONDS)
        except SettingsError as error:
            mistakes = error.mistakes
        except OSError as error:
            mistakes = unreadable(self._file, error).mistakes
        except Exception as error:
            log.exception("the popular list could not be read")
            mistakes = [f"{self._path}: {type(error).__name__}"]
        else:
            self._accept(tokens)
            return True
        if mistakes != list(self._mistakes):
            self._refuse(mistakes)
        return False

    def _refuse(self, mistakes: Sequence[str]) -> None:
        self._mistakes = mistakes
        self._engine.metrics.reload_successful.set(0)
        extra = {"in_force": self._origin, "mistakes": _first(mistakes)}
        log.error("popular list refused, the one before stays in force", extra=extra)

    def _accept(self, tokens: Sequence[PopularToken]) -> None:
        engine, before, mended = self._engine, dict(self._engine.symbols), bool(self._mistakes)
        swap(engine, tokens)
        self._origin, self._mistakes = "file", ()
        engine.metrics.reload_successful.set(1)
        engine.metrics.reload_timestamp.set(engine.clock.time())
        if engine.symbols != before:
            self._changed()
        elif not mended:
            return
        joined, left = len(engine.symbols.keys() - before), len(before.keys() - engine.symbols)
        log.info("popular list in force", extra={"tokens": len(tokens), "joined": joined, "left": left})

    @property
    def _file(self) -> Path:
        return self._path or Path()

    def _shown_path(self) -> str | None:
        return None if self._path is None else self._redact(str(self._path))


def _first(mistakes: Sequence[str]) -> list[str]:
    """Return the first mistakes, and how many more there are."""
    more = len(mistakes) - MISTAKES_SHOWN
    return [*mistakes[:MISTAKES_SHOWN], *([f"and {more} more"] if more > 0 else [])]


def _digest(path: Path) -> str:
    return sha256(read_regular(path, MAX_BYTES + 1)).hexdigest()


def swap(engine: Engine, tokens: Sequence[PopularToken]) -> None:
    """Put a popular list in the place of the one before: what is tracked, symbols, values, metric series."""
    before, after = dict(engine.symbols), {token.mint: token.symbol for token in tokens}
    engine.metrics.hot.fold()  # requests so far decide what stays
    engine.symbols.clear()
    engine.symbols.update(after)
    engine.tracker.set_popular(after)
    for mint, symbol in before.items():
        if after.get(mint) != symbol:
            engine.metrics.forget_token(mint, symbol)
        if mint not in after and mint not in engine.tracker.mints:
            engine.cache.delist(mint)
    for mint, symbol in after.items():
        if before.get(mint) != symbol:
            _rename(engine, mint, symbol)


def _rename(engine: Engine, mint: Mint, symbol: str) -> None:
    """Show a value that is in memory under this symbol, in answers and metrics alike."""
    if (entry := engine.cache.get(mint)) is not None:
        cap = msgspec.structs.replace(entry.cap, symbol=symbol)
        engine.publisher.publish(Entry(cap, entry.received, entry.explanation))
