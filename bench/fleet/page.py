"""The figures as tables."""

from collections.abc import Mapping, Sequence

from bench.figures import table
from bench.fleet.faults import MEMBERS, Found
from bench.fleet.members import FASTER, Used


def figures(used: Sequence[Used], faults: Found) -> str:
    """Return both tables; `used` begins with a sidecar alone and ends with the fleet of many tokens."""
    alone, *fleets, many = used
    return f"\n{_sizes(alone, fleets, many)}\n\n{_faults(faults)}\n\n"


def _sizes(alone: Used, fleets: Sequence[Used], many: Used) -> str:
    names = ["alone", *(f"fleet of {one.members}" for one in fleets), f"fleet of {many.members}, 10,000 tokens"]
    header = ["", *names]
    every = [alone, *fleets, many]
    return table(
        header,
        [
            ["upstream calls when all start at the same moment", *(str(one.calls_at_start) for one in every)],
            ["upstream calls an hour of the shipped intervals", *(f"{one.calls_an_hour:.0f}" for one in every)],
            [
                f"Redis commands a second, with those of scripts, values {FASTER} times as often as shipped",
                *(f"{one.commands_a_second:.1f}" for one in every),
            ],
            ["Redis traffic then, KiB a second", *(f"{one.kib_a_second:.1f}" for one in every)],
            ["Redis memory, MiB", *(f"{one.redis_mib:.1f}" for one in every)],
        ],
    )


def _at_most(buckets: Mapping[float, int], share: float) -> str:
    """Return the bound under which this share of the values lies."""
    total = max(buckets.values(), default=0)
    if not total:
        return "none"
    bound = next(bound for bound, count in buckets.items() if count >= share * total)
    return f"≤ {bound * 1000:g} ms"


def _faults(found: Found) -> str:
    rows = [
        ["without a leader after kill -9 of it (lease 5 s)", f"{found.without_leader:.2f} s", "≤ lease + 1 s"],
        ["oldest popular value meanwhile", f"{found.oldest_popular:.1f} s", ""],
        ["until all are alone after Redis is killed", f"{found.until_alone:.2f} s", "≤ 2 s"],
        ["until the fleet is back after Redis is", f"{found.until_fleet:.2f} s", "≤ 2 leases"],
        ["p99 of hits while this happens: alone", f"{found.p99_alone:.2f} ms", ""],
        ["p99 of hits while this happens: a follower", f"{found.p99_follower:.2f} ms", "no worse than alone"],
        ["propagation, median", _at_most(found.propagation, 0.5), ""],
        ["propagation, p99", _at_most(found.propagation, 0.99), "≤ 100 ms"],
        ["failed look-ups of a warm token", f"{found.failed}", "0"],
        [
            "CPU of a follower without requests",
            f"{found.cpu_follower:.2%} (alone {found.cpu_alone:.2%})",
            "≤ 1 % of a core",
        ],
        [
            "memory of a follower",
            f"{found.rss_follower:.1f} MiB (alone {found.rss_alone:.1f} MiB)",
            "≤ 12 MiB more",
        ],
    ]
    return table([f"{MEMBERS} sidecars as processes", "measured", "target"], rows)
