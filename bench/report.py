"""The page that a run writes: figures, targets, and on what it ran."""

import os
import platform
import shutil
import subprocess
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Final

from bench.figures import Series, table, verdict
from bench.results import Results
from bench.settings import MANY, REFRESH_SECONDS, SIDECAR

FLOOR: Final = "bare aiohttp, uvloop"
NGINX: Final = "nginx proxy_cache"
LIMIT_MIB: Final = 128
"""What the Deployments in `k8s` allow."""
REFRESHED: Final = f"mc-sidecar, {MANY} refreshed"
PACKAGES: Final = (
    *("aiohttp", "uvloop", "msgspec", "cachetools", "prometheus-client", "structlog"),
    *("aiocache", "cashews", "fastapi", "uvicorn", "httptools"),
)


INTRODUCTION: Final = """\
Written by `make bench` (`python -m bench --write docs/benchmarks.md`).

The server has one core to itself; the load generator and the simulated market, whose work is in none of the
figures, have another. The contestants take turns, {plan.rounds} rounds of {plan.seconds:g} s each; figures are
medians, with the lowest and the highest round in brackets. The run took {minutes:.0f} minutes.

All contestants answer `GET /mc/{{mint}}` over 32 keep-alive connections with what they have in memory. mc-sidecar
runs as shipped: 100 tracked tokens, metrics and logs on. The bare handlers return constant bytes of the same
length with as many headers: what anything costs that is built with aiohttp. aiohttp + aiocache and FastAPI +
cashews ask DexScreener for one token and keep the answer. nginx and Varnish stand in front of a sidecar and keep
the very same answers; Redis holds them as values: the limit of a store of its own, without the client's work."""


LATE: Final = """

The generator of the 1,000 requests a second was itself late by {late} ms (its 99th percentile, which is in the
figures). Requests a second of the fastest are what the generator can ask, not what they can answer: compare the
CPU time."""


HOW: Final = """\
* The answer's bytes are made at the first look-up after a refresh; a request adds age and staleness. Tracked
  tokens, and batches of what is in memory, are answered where their request's bytes arrive, before any parser,
  once the same bytes around the mints have passed all checks (`sidecar/web/fast_path.py`). Most of what is left
  is two system calls.
* Look-ups are counted in the entry that answers them, and folded into metrics and demand twice a second or when
  they are read (`sidecar/service/tally.py`). Metrics of the hot path are plain integers.
* A full garbage collection with 10,000 tokens stopped the event loop for 130 ms: what is remembered of tokens
  holds no cycles and is kept out of its way, what exists at the start is frozen. Under 10 ms now.
* 10,000 tokens are refreshed four batches at a time, of which each values one token a turn of the event loop.
  Look-ups are folded a hundred to a turn, a scrape is written a family to a turn. What is left of the pauses is
  an answer of 100 rows, parsed in one go, and a full garbage collection.
* An idle connection holds no body of its last answer, and no error holds the frames that led to it: a load leaves
  nothing behind for the garbage collector.
* A token in memory takes about 2.5 KB: equal supplies and figures are kept once, a body only of what is asked for.
* Left out: garbage collection switched off or rarer (gained 1 %), and response headers kept for each second and
  token (at most 2 % in a micro-benchmark)."""


def report(results: Results, *, seconds: float, quick: bool) -> str:
    """Return the page in Markdown."""
    parts = [
        "# Benchmarks",
        _introduction(results, seconds, quick=quick),
        "## Targets",
        _targets(results),
        "## One token per request",
        _one_token(results),
        "## A hundred tokens per request",
        _batch(results),
        "## Memory, CPU, start",
        _rest(results),
        "## How",
        HOW,
        "## On what",
        _machine(),
    ]
    return "\n\n".join(parts) + "\n"


def _introduction(results: Results, seconds: float, *, quick: bool) -> str:
    plan = results.plan
    skipped = [
        f"{program} is not installed and was left out (`apt-get install {package}`)."
        for program, package in results.missing.items()
    ]
    smoke = "\n\n**This was a quick smoke run: its figures mean little.**" if quick else ""
    return "\n\n".join([INTRODUCTION.format(plan=plan, minutes=seconds / 60) + smoke, *skipped])


def _targets(r: Results) -> str:
    rows = [[what, wanted, found, verdict(passed=passed)] for what, wanted, found, passed in _judged(r)]
    return table(["target", "wanted", "found", ""], rows)


def _judged(r: Results) -> Iterator[tuple[str, str, str, bool]]:
    own, floor = r.cpu[SIDECAR].median, r.cpu[FLOOR].median
    if NGINX in r.cpu:
        yield "CPU of one token, of nginx proxy_cache's", *_at_most(own / r.cpu[NGINX].median, 1.25, "x")
    yield "CPU of one token, of the bare uvloop handler's", *_at_most(own / floor, 0.55, "x")
    yield "CPU of a market cap, 100 per request", *_at_most(r.batch_cpu[SIDECAR].median, 2, "µs")
    p99 = r.p99[SIDECAR].median / r.p99[FLOOR].median
    yield "p99 at 1,000/s, of the bare uvloop handler's", *_at_most(p99, 1.1, "x")
    busy = r.p99[REFRESHED].median
    yield f"p99 at 1,000/s while {MANY:,} tokens are refreshed", *_at_most(busy, 2.5, "ms")
    yield "RSS, 100 tracked, after the load", *_at_most(r.rss[SIDECAR], 55, "MiB")
    yield f"RSS, {MANY:,} cached", *_at_most(r.rss[f"mc-sidecar, {MANY} cached"], 75, "MiB")
    if (image := r.memory) is not None:
        yield f"RSS under Python {image.version}, 100 tracked, after a load", *_at_most(image.loaded, 55, "MiB")
        yield f"RSS under Python {image.version}, {MANY:,} cached", *_at_most(image.cached, 75, "MiB")
    limit = f"the most resident of all that, of the Deployment's {LIMIT_MIB} MiB"
    yield limit, *_at_most(_most(r) / LIMIT_MIB, 0.85, "x")
    yield "CPU of a core, 100 tracked, no load", *_at_most(r.idle_percent, 1, "%")
    yield "import and start: exec to the first answered probe", *_at_most(r.start_seconds.median, 0.6, "s")
    yield "exec to the first market cap, upstreams 50 ms away", *_at_most(r.warm_seconds.median, 1.0, "s")
    pause = f"worst pause of the event loop, {MANY:,} tokens refreshed, load, a scrape: CPU time"
    yield pause, *_at_most(max(r.busy_ms.values), 8, "ms")


def _most(r: Results) -> float:
    """Return the most memory that a sidecar had resident, in MiB."""
    own = [mib for name, mib in r.rss.items() if name.startswith(SIDECAR)]
    return max(own if r.memory is None else [*own, r.memory.peak])


def _at_most(found: float, wanted: float, unit: str) -> tuple[str, str, bool]:
    return f"≤ {wanted:.3g} {unit}", f"{found:.2f} {unit}", found <= wanted


def _one_token(r: Results) -> str:
    floor = r.cpu[FLOOR].median
    rows = [
        [
            name,
            cost.show(),
            f"{floor / cost.median:.2f} x",
            r.rate[name].show("{:.0f}"),
            r.p99[name].show("{:.2f}"),
        ]
        for name, cost in sorted(r.cpu.items(), key=lambda item: item[1].median)
    ]
    rows.append([REFRESHED, "", "", "", r.p99[REFRESHED].show("{:.2f}")])
    header = ["", "CPU µs a request", "per CPU second, of the floor's", "requests a second", "p99 ms at 1,000/s"]
    return table(header, rows) + LATE.format(late=r.late.show("{:.2f}"))


def _batch(r: Results) -> str:
    rows = [[name, cost.show("{:.2f}"), r.batch_rate[name].show("{:.0f}")] for name, cost in r.batch_cpu.items()]
    return table(["", "CPU µs a market cap", "market caps a second"], rows) + (
        "\n\nmc-sidecar: `GET /mc?mints=…` with the tracked mints, but for the popular stSOL, which has no price;"
        "\ntokens in memory that are not tracked are counted one by one. nginx: the same mints, one request each."
    )


def _rest(r: Results) -> str:
    rows = [[f"RSS of {name}", f"{value:.1f} MiB"] for name, value in r.rss.items()]
    if (image := r.memory) is not None:
        of = f"RSS of mc-sidecar under Python {image.version}"
        rows += [
            [f"{of}, after a load", f"{image.loaded:.1f} MiB"],
            [f"{of}, {MANY} cached", f"{image.cached:.1f} MiB"],
            [f"{of}, {MANY} tracked", f"{image.tracked:.1f} MiB"],
            [f"{of}, at most", f"{image.peak:.1f} MiB"],
        ]
    rows += [
        ["CPU of mc-sidecar, 100 tracked, no load, during the whole run", f"{r.idle_percent:.2f} %"],
        [f"CPU to refresh {MANY:,} tokens every {REFRESH_SECONDS:g} s, no load", f"{r.refresh_percent:.1f} %"],
        ["import of all that serve needs", _seconds(r.import_seconds)],
        ["exec to the first answered probe", _seconds(r.start_seconds)],
        ["exec to the first market cap, upstreams 50 ms away", _seconds(r.warm_seconds)],
        ["worst pause of the event loop, refreshed likewise, under 1,000/s, one scrape a round", _ms(r.pause_ms)],
        ["of that, CPU time of the loop's own thread; the rest is what the host gave others", _ms(r.busy_ms)],
    ]
    return table(["", ""], rows)


def _seconds(found: Series) -> str:
    return found.show("{:.2f}") + " s"


def _ms(found: Series) -> str:
    return found.show() + " ms"


def _machine() -> str:
    versions = [f"{name} {metadata.version(name)}" for name in PACKAGES]
    machine = f"{os.cpu_count()} cores, {_cpu_model()}, {platform.system()} {platform.release()}"
    lines = [
        f"{machine}, Python {platform.python_version()}",
        ", ".join(versions),
        *filter(None, (_version("nginx", "-v"), _version("varnishd", "-V"), _version("redis-server", "-v"))),
    ]
    return "\n".join(f"* {line}" for line in lines)


def _cpu_model() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "CPU")


def _version(program: str, flag: str) -> str | None:
    found = shutil.which(program) or shutil.which(program, path="/usr/sbin")
    if found is None:
        return None
    done = subprocess.run([found, flag], check=False, capture_output=True, text=True)  # noqa: S603 - its version
    return (done.stderr or done.stdout).splitlines()[0]
