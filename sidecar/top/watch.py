"""Watching a running sidecar: once, as lines, or as a live table."""

import asyncio
import sys
from contextlib import AbstractContextManager
from typing import Final, Protocol

import aiohttp

from sidecar.config.settings import OpsSettings
from sidecar.top.lines import HEADS, cells, line, sources, summary
from sidecar.top.view import View, events

AGAIN_SECONDS: Final = 2.0
"""After a connection broke."""
FAILED: Final = 1


class _Screen(Protocol):
    def show(self, view: View, trouble: str = "") -> None:
        """Draw anew."""


async def watch(ops: OpsSettings, screen: AbstractContextManager[_Screen] | None, *, once: bool) -> int:
    """Show the sidecar that listens as the settings say; returns the exit code.

    `once`: everything as lines, and that is all. Else on the screen until interrupted; without one a line for each
    token that changes, until the sidecar ends.
    """
    if once or screen is None:
        return await _print(ops, once=once)
    with screen as shown:
        view, trouble = View(), ""
        while True:
            try:
                async for event in events(ops):
                    view.take(event)
                    shown.show(view)
                trouble = "the sidecar has ended"
            except (aiohttp.ClientError, OSError) as error:
                trouble = _why(error)
            shown.show(view, trouble)
            await asyncio.sleep(AGAIN_SECONDS)


async def _print(ops: OpsSettings, *, once: bool) -> int:
    view = View()
    try:
        async for event in events(ops):
            changed = view.take(event)
            if event.name == "status":
                _say(summary(view))
                for source in sources(view):
                    _say("  ".join(source).rstrip())
                _say(line(HEADS))
                changed = [row["mint"] for row in view.by_market_cap()]
            for mint in changed:
                _say(line(cells(view, view.tokens[mint])))
            if once:
                return 0
    except BrokenPipeError:
        raise
    except (aiohttp.ClientError, OSError) as error:
        sys.stderr.write(f"mc-sidecar: {_why(error)}\n")
        return FAILED
    return 0


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _why(error: Exception) -> str:
    return f"no answer from the operator's listener: {str(error) or type(error).__name__}"
