"""Looking a token up: in memory, else from the upstreams within the deadline."""

from collections.abc import Collection, Iterable
from typing import Final

from sidecar.cache.cache import Entry
from sidecar.errors import (
    DeadlineExceededError,
    InvalidMintError,
    McSidecarError,
    NotPricedError,
    OverloadedError,
    UpstreamUnavailableError,
)
from sidecar.metrics.labels import LookupResult
from sidecar.models import Mint, is_mint
from sidecar.runtime.aio import wait_within, yielding
from sidecar.service.memory_lookups import LookupHit, MemoryLookups

MINTS_A_TURN: Final = 100
"""How many mints of a batch are dealt with between two turns of the event loop."""


class Lookups(MemoryLookups):
    """All look-ups of one engine; what is not in memory comes from the upstreams, or is an error."""

    async def find_uncounted(
        self, mints: Collection[Mint]
    ) -> tuple[dict[Mint, LookupHit], dict[str, McSidecarError]]:
        """Return tokens and errors as `find_many` does, counting neither look-ups nor requests."""
        missing: list[Mint] = []
        errors: dict[str, McSidecarError] = {}
        async for mint in yielding(mints, MINTS_A_TURN):
            if self.peek(mint) is not None:
                continue
            if (known := self._unpriced(mint)) is not None:
                errors[mint] = known
            else:
                missing.append(mint)
        failed = errors | await self._ask(missing)
        found = {mint: one for mint in mints if (one := self.peek(mint)) is not None}
        return found, {mint: failed.get(mint) or self.why_gone(mint) for mint in mints if mint not in found}

    def why_gone(self, mint: Mint) -> McSidecarError:
        """Return why a value that was in memory is there no more."""
        reason = self._cache.unpriced_reason(mint)
        if reason is not None:
            return NotPricedError(reason)
        return UpstreamUnavailableError("nothing usable is in memory any more", retry_after=1)

    async def fetch(self, mint: str) -> LookupHit:
        """Get a token that is not in memory from the upstreams. Raises what `PreCacheService.get` does."""
        found, errors = await self._fetch_many([mint])
        if mint in errors:
            raise errors.pop(mint)  # popped: this frame, which the error will hold, does not hold the error
        return found[mint]

    async def find_many(self, mints: Iterable[str]) -> tuple[dict[str, LookupHit], dict[str, McSidecarError]]:
        """Look up several tokens, each once."""
        found: dict[str, LookupHit] = {}
        missing: list[str] = []
        async for mint in yielding(dict.fromkeys(mints), MINTS_A_TURN):
            if (one := self.find(mint)) is not None:
                found[mint] = one
            else:
                missing.append(mint)
        if not missing:
            return found, {}
        fetched, errors = await self._fetch_many(missing)
        return found | fetched, errors

    def find_known(self, mints: Iterable[str]) -> tuple[dict[str, LookupHit], dict[str, McSidecarError]] | None:
        """Do what `find_many` does, if nothing has to be asked for; else return None, and nothing is counted."""
        entries: dict[str, Entry] = {}
        errors: dict[str, McSidecarError] = {}
        for mint in mints:
            if (entry := self._cache.get(Mint(mint))) is not None:
                entries[mint] = entry
            elif (known := self._unpriced(Mint(mint))) is not None:
                errors[mint] = known
            else:
                return None
        for failure in errors.values():
            self._count_failure(failure)
        now = self.now()
        return {mint: self._found(entry, now) for mint, entry in entries.items()}, errors

    async def _fetch_many(self, mints: Iterable[str]) -> tuple[dict[str, LookupHit], dict[str, McSidecarError]]:
        errors: dict[str, McSidecarError] = {}
        unknown: list[Mint] = []
        async for text in yielding(mints, MINTS_A_TURN):
            if (known := self._known_failure(text)) is not None:
                errors[text] = known
            else:
                unknown.append(Mint(text))
        started = self._clock.monotonic()
        asked = await self._ask(unknown)
        waited = self._clock.monotonic() - started
        found: dict[str, LookupHit] = {}
        async for mint, failed in yielding(asked.items(), MINTS_A_TURN):
            self._hot.lookup_wait.observe(waited)
            if (one := self._found_after_waiting(mint)) is not None:
                found[mint] = one
            else:
                errors[mint] = failed
        async for failure in yielding(errors.values(), MINTS_A_TURN):
            self._count_failure(failure)
        return found, errors

    async def _ask(self, mints: Iterable[Mint]) -> dict[Mint, McSidecarError]:
        """Ask the upstreams, within the deadline; return what to say of each mint if it is not in memory then."""
        futures = self._fetch_upstream(mints)
        await wait_within(futures.values(), self._deadline_seconds, self._clock)
        no_room = UpstreamUnavailableError("no room in memory", retry_after=1)
        return {
            mint: (future.result() or no_room) if future.done() else _too_late()
            for mint, future in futures.items()
        }

    def _count_failure(self, failure: McSidecarError) -> None:
        """Count a look-up without an answer; it is no demand, or invented mints would push out real ones."""
        self._hot.count(_result_of(failure))

    def _known_failure(self, text: str) -> McSidecarError | None:
        """Return why there is nothing to ask the upstreams for; not raised, an error holds no frames."""
        return self._unpriced(Mint(text)) if is_mint(text) else InvalidMintError(text)

    def _unpriced(self, mint: Mint) -> NotPricedError | None:
        """Look up whether a mint is known to have no price."""
        reason = self._cache.look_up_unpriced(mint)
        return None if reason is None else NotPricedError(reason)

    def _found_after_waiting(self, mint: Mint) -> LookupHit | None:
        if (entry := self._cache.get(mint)) is None:
            return None
        return self._served(entry, self._clock.monotonic() - entry.received, "miss", cached=False)


def _too_late() -> McSidecarError:
    return DeadlineExceededError("no upstream answered within api.deadline_seconds", retry_after=1)


def _result_of(error: McSidecarError) -> LookupResult:
    """Return the `result` label of a look-up that ended in this error."""
    if isinstance(error, InvalidMintError):
        return "invalid"
    if isinstance(error, NotPricedError):
        return "not_priced"
    return "rejected" if isinstance(error, OverloadedError) else "error"
