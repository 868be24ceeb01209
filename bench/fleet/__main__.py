"""`python -m bench.fleet PAGE`: play fleets of several sizes and their faults, and write the figures into it."""

import argparse
import asyncio
import logging
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from bench.fleet.faults import Found, market, measure
from bench.fleet.members import Used, play, play_many
from bench.fleet.page import figures
from bench.fleet.redis import RedisProcess

SIZES: Final = (1, 10, 50)
SECONDS: Final = 60.0
BEGIN: Final = "<!-- measured: make bench-fleet -->\n"
END: Final = "<!-- end of what was measured -->\n"


def main() -> None:
    """Play and write."""
    parser = argparse.ArgumentParser(prog="python -m bench.fleet", description=__doc__)
    parser.add_argument("page", type=Path)
    parser.add_argument("--size", type=int, action="append", help="only fleets of so many members")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="how long each fleet is watched")
    parser.add_argument("--many", type=int, default=10_000, help="tokens of the large fleet")
    options = parser.parse_args()
    logging.getLogger("sidecar").setLevel(logging.CRITICAL)
    used, faults = _played(options.size or SIZES, options.seconds, options.many)
    text = options.page.read_text(encoding="utf-8")
    head, _, rest = text.partition(BEGIN)
    options.page.write_text(head + BEGIN + figures(used, faults) + END + rest.partition(END)[2], encoding="utf-8")


def _played(sizes: list[int] | tuple[int, ...], seconds: float, many: int) -> tuple[list[Used], Found]:
    used = [asyncio.run(play(1, None, seconds))]
    with tempfile.TemporaryDirectory(prefix="mc-bench-") as folder, ExitStack() as stack:
        redis = RedisProcess(Path(folder))
        stack.callback(redis.kill)
        for fleet in (*(play(size, redis, seconds) for size in sizes), play_many(redis, many)):
            redis.start()
            used.append(asyncio.run(fleet))
            redis.kill()
            _say(f"{used[-1]}")
        redis.start()
        return used, measure(Path(folder), market(stack), redis, stack, seconds)


def _say(text: str) -> None:
    sys.stderr.write(f"bench: {text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    main()
