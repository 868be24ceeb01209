"""`python -m sidecar.demo`: the simulated market as a process of its own, until SIGTERM or SIGINT."""

import argparse
import asyncio
import json
import signal
import sys

import uvloop

from sidecar.demo.market import Market
from sidecar.demo.server import serve


def main() -> None:
    """Parse the command line and serve; exits 0 when asked to stop."""
    uvloop.run(_run(_parser().parse_args()))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sidecar.demo", description="Serve a simulated token market.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one (default)")
    parser.add_argument("--seed", type=int, default=1, help="the same seed makes the same tokens and prices")
    parser.add_argument("--tokens", type=int, default=300, help="how many, up to about 10000")
    parser.add_argument("--latency-ms", type=float, default=0.0, help="before every answer")
    return parser


async def _run(args: argparse.Namespace) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    market = Market(args.seed, args.tokens)
    market.latency_seconds = args.latency_ms / 1000
    async with serve(market, args.host, args.port) as urls:
        sys.stdout.write(
            json.dumps({"base_urls": urls, "operator": urls["jupiter"].replace("/jupiter", "/_market")})
        )
        sys.stdout.write("\n")
        sys.stdout.flush()
        await stop.wait()


if __name__ == "__main__":
    main()
