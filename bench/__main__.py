"""`python -m bench`: run everything, print the report; `--write FILE` keeps it, `--quick` is a smoke run."""

import argparse
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from bench.report import report
from bench.results import Plan
from bench.suite import Suite

FULL = Plan(rounds=5, seconds=2.0, refresh_seconds=5.0, calm_seconds=10.0, starts=5, idle_seconds=60.0)
QUICK = Plan(rounds=1, seconds=0.5, refresh_seconds=2.0, calm_seconds=2.0, starts=1, idle_seconds=0.0)


def main() -> int:
    """Run the benchmarks."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round of each: does it run?")
    parser.add_argument("--write", metavar="FILE", type=Path, help="write the report to this file")
    parser.add_argument("--image-python", metavar="PROGRAM", help="a Python with mc-sidecar whose memory to show")
    options = parser.parse_args()
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mc-bench-") as folder, ExitStack() as stack:
        plan, other = QUICK if options.quick else FULL, options.image_python
        results = Suite(plan, Path(folder), stack, image_python=other, say=_say).run()
    text = report(results, seconds=time.monotonic() - started, quick=options.quick)
    sys.stdout.write(text)
    if options.write is not None:
        options.write.write_text(text)
    return 0


def _say(text: str) -> None:
    sys.stderr.write(f"bench: {text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
