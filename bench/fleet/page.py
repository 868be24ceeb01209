"""The figures as tables."""

from collections.abc import Mapping, Sequence

from bench.figures import table
from bench.fleet.many import Many
from bench.fleet.play import Hour, Life

NONE = "-"


def figures(alone: Hour, hours: Sequence[Hour], lives: Sequence[Life], many: Many) -> str:
    """Return both tables; `hours` and `lives` are of the same fleets."""
    return f"\n{_fleets(alone, hours, lives)}\n\n{_many(many)}\n\n"


def _fleets(alone: Hour, hours: Sequence[Hour], lives: Sequence[Life]) -> str:
    calls = [f"{one.calls_an_hour:.0f}" for one in hours]
    most = f"≤ {1.1 * alone.calls_an_hour:.0f}: 1.1 x alone"
    rows = [
        ["upstream calls an hour", f"{alone.calls_an_hour:.0f}", *calls, most],
        _beside("upstream calls when all start together", lives, ("calls_alone", "calls_at_start"), "{}", "≤ 10"),
        ["propagation, median", NONE, *(_within(one.propagation, 0.5) for one in lives), ""],
        ["propagation, 99 %", NONE, *(_within(one.propagation, 0.99) for one in lives), "≤ 100 ms"],
        _row("without a leader after kill -9", lives, "without_leader", "{:.2f} s", "≤ 6 s: lease + 1 s"),
        _row("oldest popular value meanwhile", lives, "oldest_popular", "{:.0f} s", "≤ 70 s"),
        _row("until all are alone after Redis is killed", lives, "until_alone", "{:.2f} s", "≤ 2 s"),
        _row("until the fleet is back after Redis is", lives, "until_fleet", "{:.2f} s", "≤ 10 s: 2 leases"),
        _row("Jupiter's calls in 10 s, all alone together", lives, "busiest_alone", "{}", "≤ 5"),
        _row("Redis commands a second, those of scripts too", lives, "commands_a_second", "{:.0f}", ""),
        _row("Redis traffic, KiB a second", lives, "kib_a_second", "{:.0f}", ""),
        ["Redis memory, MiB", NONE, *(f"{one.redis_mib:.1f}" for one in hours), ""],
        _beside("CPU of a core, no requests", lives, ("cpu_alone", "cpu_member"), "{:.2%}", "≤ 1 %"),
        _beside("memory, MiB", lives, ("rss_alone", "rss_member"), "{:.1f}", "≤ 12 more"),
        _beside("p99 of hits during all this, ms", lives, ("p99_alone", "p99_member"), "{:.1f}", "as alone"),
        _row("failed look-ups of a warm token", lives, "failed", "{}", "0"),
    ]
    return table(["", "alone", *(f"fleet of {one.members}" for one in lives), "target"], rows)


def _row(name: str, lives: Sequence[Life], figure: str, pattern: str, target: str) -> list[str]:
    found = [getattr(one, figure) for one in lives]
    return [name, NONE, *(NONE if value is None else pattern.format(value) for value in found), target]


def _beside(name: str, lives: Sequence[Life], figures: tuple[str, str], pattern: str, target: str) -> list[str]:
    """Return a row in which the sidecar alone ran beside each fleet, on the same busy machine."""
    pairs = [[pattern.format(getattr(one, figure)) for figure in figures] for one in lives]
    return [name, "in brackets", *(f"{member} ({alone})" for alone, member in pairs), target]


def _within(buckets: Mapping[float, int], share: float) -> str:
    """Return the bound under which this share of the values lies."""
    total = max(buckets.values(), default=0)
    if not total:
        return NONE
    bound = next(bound for bound, count in buckets.items() if count >= share * total)
    return f"≤ {bound * 1000:g} ms"


def _many(many: Many) -> str:
    rows = [
        ["upstream calls for all of them", f"{many.calls_at_start}"],
        ["upstream calls an hour", f"{many.calls_an_hour:.0f}"],
        ["Redis commands a second, those of scripts too", f"{many.commands_a_second:.0f}"],
        ["Redis traffic, KiB a second", f"{many.kib_a_second:.0f}"],
        ["Redis memory, MiB", f"{many.redis_mib:.1f}"],
    ]
    return table([f"fleet of 2, {many.tokens:,} tokens", "measured"], rows)
