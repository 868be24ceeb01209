"""A sidecar that is unlike the others: of another version, or with clocks that are hours off.

`python -m tests.system.fleet.odd_member later|format|clock=<hours> serve …`
"""

import sys
import time

import msgspec

from sidecar.cli import main
from sidecar.fleet import demand as fleet_demand
from sidecar.fleet import keys, publishing, records
from sidecar.runtime import clock


def be_later() -> None:
    """Say in every message what this version does not know, and now and then something that it cannot read."""
    said = 0

    def encode(message: records.Message, now: clock.Instant) -> bytes:
        nonlocal said
        said += 1
        head, _, body = records.encode(message, now).partition(b"\n")
        tree = _with_news(msgspec.json.decode(body))
        if isinstance(message, records.UnderWay | records.Trending) and said % 2:
            tree["type"] = "a later message"
        return msgspec.json.encode({**msgspec.json.decode(head), "later": 1}) + b"\n" + msgspec.json.encode(tree)

    publishing.encode = fleet_demand.encode = encode  # type: ignore[attr-defined] # what they import


def _with_news(tree: object) -> dict[str, object]:
    """Add a field of a later version to every object but the counts, whose fields are mints."""
    assert isinstance(tree, dict)
    objects = {name: part for name, part in tree.items() if isinstance(part, dict) and name != "counts"}
    told = {**tree, **{name: _with_news(part) for name, part in objects.items()}}
    return {**told, "field_of_a_later_version": {"a": [1, None]}}


def be_of_another_format() -> None:
    """Keep what is kept in Redis under the next format's keys."""
    keys.FORMAT += 1  # type: ignore[misc] # as its source would


def be_off(hours: float) -> None:
    """Set both clocks of the process off."""
    monotonic, unix = time.monotonic, time.time
    clock.SystemClock.monotonic = staticmethod(lambda: monotonic() + 1e6 - 3600 * hours)
    clock.SystemClock.time = staticmethod(lambda: unix() + 3600 * hours)


if __name__ == "__main__":
    oddity = sys.argv.pop(1)
    if oddity == "later":
        be_later()
    elif oddity == "format":
        be_of_another_format()
    else:
        be_off(float(oddity.removeprefix("clock=")))
    sys.exit(main())
