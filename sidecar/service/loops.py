"""The loops of a service: which step is done how often."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from sidecar.refresh.loop import Loop, step_limit_seconds
from sidecar.refresh.schedule import RETRY_SECONDS
from sidecar.refresh.steps import Steps
from sidecar.service.wiring import Engine

Step = Callable[[], Awaitable[bool | None]]


def build_loops(
    engine: Engine,
    tracked_changed: Callable[[], None],
    statistics: Callable[[], Mapping[str, Any]],
    refreshing: Callable[[Step], Step] = lambda step: step,
) -> dict[str, Loop]:
    """Return the loops by name, none of them running yet; `refreshing` wraps every step that refreshes."""
    refresh = engine.settings.refresh
    steps = Steps(
        tracker=engine.tracker,
        schedule=engine.schedule,
        refresher=engine.refresher,
        trending=engine.trending,
        tracked_changed=tracked_changed,
        statistics=statistics,
        hurry=engine.misses.begun,
        clock=engine.clock,
    )
    limit = step_limit_seconds(engine.settings)
    tools: Any = {"clock": engine.clock, "metrics": engine.metrics, "step_limit": limit}
    loops = (
        Loop("popular", refreshing(steps.popular), lambda: refresh.popular_seconds, **tools),
        Loop("trending", refreshing(steps.trending), lambda: refresh.trending_seconds, **tools),
        Loop("tracked", refreshing(steps.tracked), lambda: _until_next_due(engine), **tools),
        Loop("stats", steps.stats, lambda: refresh.stats_seconds, **tools),
    )
    early = Loop("early", refreshing(engine.early.step), engine.early.next_in, **tools)
    is_early_on = refresh.target_uncertainty is not None and refresh.early_share > 0
    return {loop.name: loop for loop in (*loops, *[early] * is_early_on)}


def _until_next_due(engine: Engine) -> float:
    """Return in how many seconds to look at the schedule again: soon, a mint may have become due meanwhile."""
    interval = min(engine.settings.refresh.tracked_seconds, RETRY_SECONDS)
    return min(interval, max(engine.schedule.next_due_in(), min(1.0, interval)))
