"""The popular list while the service runs: watched by content, swapped when it is valid, kept when it is not."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Final

import msgspec

from sidecar.cache.cache import Entry
from sidecar.config.popular import PopularToken, load_popular
from sidecar.config.yaml_file import MAX_BYTES
from sidecar.errors import SettingsError
from sidecar.models import Mint
from sidecar.service.wiring import Engine

POLL_SECONDS: Final = 1.0
"""A content counts when it is the same twice: a file that is being written is left in peace."""
MISTAKES_SHOWN: Final = 20

log = logging.getLogger(__name__)


class PopularFile:
    """Watches the file of the popular list. `changed` hears when a new list is in force.

    Contents are compared and not times: a ConfigMap changes by a symlink that points elsewhere.
    """

    def __init__(self, path: Path, engine: Engine, changed: Callable[[], None]) -> None:
        self._path = path
        self._engine = engine
        self._changed = changed
        self._seen = ""
        self._judged = ""
        self._refused = False
        self._lock = asyncio.Lock()

    async def run(self) -> None:
        """Look at the file again and again, until cancelled."""
        while True:
            await self.look()
            await self._engine.clock.sleep(POLL_SECONDS)

    async def look(self) -> None:
        """Read the file if its content is another one, and the same as at the last look."""
        async with self._lock:
            found = await asyncio.to_thread(_fingerprint, self._path)
            settled, self._seen = found == self._seen, found
            if settled and found != self._judged:
                await self._judge(found)

    async def reload(self) -> bool:
        """Read the file now. Returns whether its list is in force; a bad one changes nothing and is logged."""
        async with self._lock:
            return await self._judge(await asyncio.to_thread(_fingerprint, self._path))

    async def _judge(self, found: str) -> bool:
        """Put the list in force if it is good. What the file holds by now may be newer than what was `found`."""
        self._judged = found
        try:
            tokens = await asyncio.to_thread(load_popular, self._path, self._engine.settings.tracking.max_tokens)
        except SettingsError as error:
            self._refuse(error.mistakes)
            return False
        except Exception as error:
            log.exception("the popular list could not be read")
            self._refuse([f"{self._path}: {type(error).__name__}"])
            return False
        self._accept(tokens)
        return True

    def _refuse(self, mistakes: Sequence[str]) -> None:
        self._refused = True
        self._engine.metrics.reload_successful.set(0)
        left_out = len(mistakes) - MISTAKES_SHOWN
        shown = [*mistakes[:MISTAKES_SHOWN], *([f"and {left_out} more"] if left_out > 0 else [])]
        log.error("popular list refused, the one before stays in force", extra={"mistakes": shown})

    def _accept(self, tokens: Sequence[PopularToken]) -> None:
        engine, before = self._engine, dict(self._engine.symbols)
        swap(engine, tokens)
        engine.metrics.reload_successful.set(1)
        engine.metrics.reload_timestamp.set(engine.clock.time())
        if engine.symbols != before:
            self._changed()
        elif not self._refused:
            return
        self._refused = False
        joined, left = len(engine.symbols.keys() - before), len(before.keys() - engine.symbols)
        log.info("popular list in force", extra={"tokens": len(tokens), "joined": joined, "left": left})


def swap(engine: Engine, tokens: Sequence[PopularToken]) -> None:
    """Put a popular list in the place of the one before: who is tracked, symbols, values, metric series."""
    before, after = dict(engine.symbols), {token.mint: token.symbol for token in tokens}
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


def _fingerprint(path: Path) -> str:
    """Return what tells one content from another, or one reason why there is none from another."""
    try:
        with path.open("rb") as file:
            return sha256(file.read(MAX_BYTES + 1)).hexdigest()
    except OSError as error:
        return f"unreadable: {error.strerror}"
