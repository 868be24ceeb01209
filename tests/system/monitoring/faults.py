"""What can go wrong, as series: from ten healthy hours, and which alert tells it."""

from typing import Final, NamedTuple

from tests.system.monitoring.files import rules
from tests.system.monitoring.promtool import (
    FLEET_CONNECTED,
    FLEET_LEADER,
    POPULAR_SUCCESS,
    RELOADED,
    SNAPSHOT_SUCCESS,
    SOURCES,
    STARTED,
    UNPRICED,
    UP,
    Series,
    circuit,
    healthy,
    lookups,
    requests,
)

ALERTS: Final = {rule["alert"]: rule for rule in rules("alert")}
PRICE_SOURCES: Final = tuple(source for source in SOURCES if source != "solana_rpc")
FOUND: Final = 60
"""Minute at which every fault begins."""


def from_the_fault(before: str, after: str) -> str:
    """Return values for the first hour and for the other nine."""
    return f"{before}x{FOUND - 1} {after}x480"


def every_ten_minutes() -> str:
    """Return a count that goes up by one every ten minutes from the fault on."""
    return f"0x{FOUND} " + " ".join(f"{count}x9" for count in range(1, 49))


class Fault(NamedTuple):
    """What changes in ten healthy hours, and which alert tells it: minutes after it, when not yet and when."""

    alert: str
    changed: Series
    not_yet: int
    fired: int


def source_fails(source: str, outcome: str) -> Series:
    """Return the series of a source whose every call ends in this outcome from the fault on."""
    return {
        requests(source, "ok"): from_the_fault("0+1", f"{FOUND}+0"),
        requests(source, outcome): from_the_fault("0+0", "0+1"),
    }


EVERY_SOURCE_FAILS: Final = {
    key: value for source in PRICE_SOURCES for key, value in source_fails(source, "http_5xx").items()
} | {
    POPULAR_SUCCESS: from_the_fault("0+60", f"{60 * FOUND}+0"),
    lookups("hit"): f"0+600x{FOUND + 5} {600 * (FOUND + 6)}+0x480",
    lookups("stale"): f"0x{FOUND + 5} 0+600x480",
}
FAULTS: Final = {
    "a follower hears nothing of its leader": Fault(
        "McSidecarFleetWithoutLeader", {FLEET_LEADER: from_the_fault("1", "0")}, 3, 12
    ),
    "the fleet's Redis is gone": Fault(
        "McSidecarFleetAlone",
        {FLEET_CONNECTED: from_the_fault("1", "0"), FLEET_LEADER: from_the_fault("1", "0")},
        8,
        20,
    ),
    "half of the values are stale": Fault(
        "McSidecarFreshnessBudgetBurningFast",
        {
            lookups("hit"): from_the_fault("0+600", f"{600 * FOUND}+300"),
            lookups("stale"): from_the_fault("0+0", "0+300"),
        },
        15,
        30,
    ),
    "every tenth value is stale": Fault(
        "McSidecarFreshnessBudgetBurningSlowly",
        {
            lookups("hit"): from_the_fault("0+600", f"{600 * FOUND}+540"),
            lookups("stale"): from_the_fault("0+0", "0+60"),
        },
        95,
        120,
    ),
    "every tenth look-up fails": Fault(
        "McSidecarFreshnessBudgetBurningSlowly",
        {lookups("error"): from_the_fault("0+0", "0+60")},
        110,
        150,
    ),
    "the popular loop succeeds no more": Fault(
        "McSidecarPopularListNotRefreshed", {POPULAR_SUCCESS: from_the_fault("0+60", f"{60 * FOUND}+0")}, 9, 13
    ),
    "every price source answers 5xx": Fault("McSidecarEverySourceFailing", EVERY_SOURCE_FAILS, 4, 40),
    "Jupiter answers 5xx": Fault("McSidecarSourceFailing", source_fails("jupiter", "http_5xx"), 20, 40),
    "DexScreener says 429": Fault("McSidecarSourceFailing", source_fails("dexscreener", "rate_limited"), 20, 40),
    "the trending list of GeckoTerminal fails every ten minutes": Fault(
        "McSidecarSourceFailing",
        {requests("geckoterminal", "rate_limited"): every_ten_minutes()},
        24,
        50,
    ),
    "all circuits are open, and the popular list is asked for every ten minutes": Fault(
        "McSidecarEverySourceFailing",
        EVERY_SOURCE_FAILS
        | {requests(source, "http_5xx"): every_ten_minutes() for source in PRICE_SOURCES}
        | {circuit(source): from_the_fault("0+0", "1+0") for source in PRICE_SOURCES},
        4,
        40,
    ),
    "the RPC node answers 5xx": Fault("McSidecarSourceFailing", source_fails("solana_rpc", "http_5xx"), 20, 40),
    "more cold tokens are wanted than the budget allows": Fault(
        "McSidecarBudgetExhausted", {lookups("rejected"): from_the_fault("0+0", "0+60")}, 8, 30
    ),
    "the changed popular list is refused": Fault(
        "McSidecarReloadFailed", {RELOADED: from_the_fault("1+0", "0+0")}, 4, 6
    ),
    "four popular tokens lose their price": Fault(
        "McSidecarPopularTokensUnpriced", {UNPRICED: from_the_fault("1+0", "5+0")}, 9, 12
    ),
    "the snapshot's disk is full": Fault(
        "McSidecarSnapshotNotWritten", {SNAPSHOT_SUCCESS: from_the_fault("0+60", f"{60 * FOUND}+0")}, 14, 17
    ),
    "the snapshot was never written": Fault(
        "McSidecarSnapshotNotWritten",
        {SNAPSHOT_SUCCESS: "", STARTED: f"{60 * FOUND}x600"},
        14,
        17,
    ),
    "it starts again every ten minutes": Fault(
        "McSidecarRestarting",
        {STARTED: f"0x{FOUND} " + " ".join(f"{600 * count}x9" for count in range(1, 49))},
        20,
        25,
    ),
    "the sidecar cannot be scraped": Fault("McSidecarDown", {UP: from_the_fault("1+0", "0+0")}, 4, 7),
    "the label of the pods is gone": Fault(
        "McSidecarVanished",
        {name: text.replace("x600", f"x{FOUND} stale") for name, text in healthy().items()},
        9,
        25,
    ),
}
