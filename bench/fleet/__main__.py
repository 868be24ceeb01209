"""`python -m bench.fleet PAGE`: play fleets of several sizes and their faults, and write the figures into it."""

import argparse
import asyncio
import logging
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from bench.fleet.many import many
from bench.fleet.page import figures
from bench.fleet.play import hour, life
from bench.fleet.redis import RedisProcess

SIZES: Final = (1, 10, 50)
SECONDS: Final = 36.0
BEGIN: Final = "<!-- measured: make bench-fleet -->\n"
END: Final = "<!-- end of what was measured -->\n"

T = TypeVar("T")


def main() -> None:
    """Play and write."""
    parser = argparse.ArgumentParser(prog="python -m bench.fleet", description=__doc__)
    parser.add_argument("page", type=Path)
    parser.add_argument("--size", type=int, action="append", help="only fleets of so many members")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="how long calls are counted")
    parser.add_argument("--many", type=int, default=10_000, help="tokens of the large fleet")
    options = parser.parse_args()
    logging.getLogger("sidecar").setLevel(logging.CRITICAL)
    with tempfile.TemporaryDirectory(prefix="mc-bench-") as folder:
        table = _played(Path(folder), options.size or SIZES, options.seconds, options.many)
    text = options.page.read_text(encoding="utf-8")
    head, _, rest = text.partition(BEGIN)
    options.page.write_text(head + BEGIN + table + END + rest.partition(END)[2], encoding="utf-8")


def _played(folder: Path, sizes: list[int] | tuple[int, ...], seconds: float, tokens: int) -> str:
    redis = RedisProcess(folder)

    def fresh(measure: Callable[[], T]) -> T:
        redis.start()
        try:
            found = measure()
        finally:
            redis.kill()
        sys.stderr.write(f"bench: {found}\n")
        return found

    alone = hour(1, None, folder, seconds)
    hours = [fresh(partial(hour, size, redis, folder, seconds)) for size in sizes]
    lives = [fresh(partial(life, size, redis, folder, stays_alone=size == max(sizes))) for size in sizes]
    large = fresh(lambda: asyncio.run(many(redis, tokens)))
    return figures(alone, hours, lives, large)


if __name__ == "__main__":
    main()
