"""The order of the measurements: every contestant is started and warmed, then rounds in which each has a turn."""

import json
import subprocess
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from bench import contestants
from bench.contestants import Contestant
from bench.figures import series
from bench.measure import closed_loop, fill, import_seconds, open_loop, start_seconds, track
from bench.memory import BATCH, Memory, memory
from bench.processes import SERVER_CORE, Process, fetch, python, version_of, wait_for
from bench.results import Plan, Results
from bench.settings import CACHED, MANY, SHIPPED, SIDECAR, TRACKED
from bench.stage import ONE, Stage

START_LATENCY_MS: Final = 50
PEAK: Final = f"mc-sidecar, {MANY} tracked, at most"
UNTRACKED: Final = 5
"""So many of a hundred are not tracked in the mixed batch."""

Figures = dict[str, list[float]]


class Suite:
    """One run. All processes are stopped with `stack`."""

    def __init__(
        self,
        plan: Plan,
        folder: Path,
        stack: ExitStack,
        *,
        image_python: str | None,
        say: Callable[[str], None],
    ) -> None:
        """`image_python`: another interpreter with the sidecar, for its memory."""
        self._plan = plan
        self._image_python = image_python
        self._stage = Stage(folder, stack)
        self._stack = stack
        self._say = say
        self._figures: defaultdict[str, Figures] = defaultdict(lambda: defaultdict(list))

    def run(self) -> Results:
        """Measure everything."""
        self._say("starting the simulated market and the contestants")
        urls = self._stage.market(0)
        missing = contestants.missing()
        idle = self._stage.sidecar("idle", SHIPPED, urls)
        track(idle.port, self._stage.mints[:BATCH])
        idle_from = (time.monotonic(), idle.process.cpu_seconds())
        fleet = self._stage.fleet(urls, missing)
        self._one_token(fleet)
        self._many_tokens([one for one in fleet if one.name in {SIDECAR, "nginx proxy_cache"}])
        rss = {one.name: one.process.rss_mib() for one in fleet}
        self._starts()
        refresh_percent = self._refreshing(urls, rss)
        image = None if self._image_python is None else self._memory(urls, self._image_python)
        idle_percent = self._idle_percent(idle, idle_from)
        rss["mc-sidecar, idle"] = idle.process.rss_mib()
        return self._results(missing, rss, idle_percent, refresh_percent, image)

    def _one_token(self, fleet: list[Contestant]) -> None:
        for number in range(self._plan.rounds):
            self._say(f"one token a request, round {number + 1} of {self._plan.rounds}")
            for one in fleet:
                load = closed_loop(one, ONE, self._plan.seconds)
                self._note("cpu", one.name, load.microseconds)
                self._note("rate", one.name, load.per_second)
            for one in fleet:
                self._open(one, ONE, self._plan.seconds, one.name)

    def _open(self, one: Contestant, paths: list[str], seconds: float, name: str) -> None:
        found = open_loop(one, paths, seconds)
        self._note("p99", name, found["p99"])
        self._note("late", "", found["late_p99"])

    def _many_tokens(self, fleet: list[Contestant]) -> None:
        """Ask for a hundred tracked tokens, and for a hundred of which a few are not tracked."""
        sidecar = fleet[0]
        priced = [mint for mint in self._stage.mints[: 2 * BATCH] if self._is_everywhere(fleet, mint)]
        track(sidecar.port, priced[:BATCH])  # for those among the first hundred that turned out to have no price
        found = json.loads(fetch(f"http://127.0.0.1:{sidecar.port}/mc?set=tracked"))["tokens"]
        tracked = [token["mint"] for token in found if token["mint"] in priced]
        others = [mint for mint in priced if mint not in tracked][:UNTRACKED]
        for number in range(self._plan.rounds):
            self._say(f"{len(tracked)} tokens, round {number + 1} of {self._plan.rounds}")
            self._batch(sidecar, SIDECAR, tracked)
            self._batch(sidecar, f"mc-sidecar, {len(others)} not tracked", [*tracked[: -len(others)], *others])
            for one in fleet[1:]:
                load = closed_loop(one, [f"/mc/{mint}" for mint in tracked], self._plan.seconds)
                self._note("batch_cpu", one.name, load.microseconds)
                self._note("batch_rate", one.name, load.per_second)

    def _batch(self, sidecar: Contestant, name: str, mints: list[str]) -> None:
        load = closed_loop(sidecar, ["/mc?mints=" + ",".join(mints)], self._plan.seconds)
        self._note("batch_cpu", name, load.microseconds / len(mints))
        self._note("batch_rate", name, load.per_second * len(mints))

    def _is_everywhere(self, fleet: list[Contestant], mint: str) -> bool:
        """Return whether the sidecar prices it; the proxies then have it, too."""
        tokens = json.loads(fetch(f"http://127.0.0.1:{fleet[0].port}/mc?mints={mint}"))["tokens"]
        for one in fleet[1:] if mint in tokens else ():
            fetch(f"http://127.0.0.1:{one.port}/mc/{mint}")
        return mint in tokens

    def _starts(self) -> None:
        urls = self._stage.market(START_LATENCY_MS)
        settings, api, ops = self._stage.settings("start", SHIPPED, urls)
        for number in range(self._plan.starts):
            self._say(f"start {number + 1} of {self._plan.starts}")
            alive, warm = start_seconds(settings, api, ops)
            self._note("start", "", alive)
            self._note("warm", "", warm)
            self._note("import", "", import_seconds())

    def _refreshing(self, urls: Mapping[str, str], rss: dict[str, float]) -> float:
        """Measure with 10,000 tokens: memory, latency, pauses of the loop and CPU while all are refreshed."""
        self._say(f"{MANY} tokens")
        cached = self._stage.sidecar("cached", CACHED, urls)
        fill(cached.port, self._stage.mints, MANY)
        rss[f"mc-sidecar, {MANY} cached"] = cached.process.rss_mib()
        cached.process.stop()
        many = self._stage.sidecar("tracked", TRACKED, urls)
        paths = [f"/mc/{mint}" for mint in fill(many.port, self._stage.mints, MANY)[:BATCH]] + ONE
        time.sleep(self._plan.calm_seconds)
        for _ in range(self._plan.rounds):
            self._open(many, paths, self._plan.refresh_seconds, f"mc-sidecar, {MANY} refreshed")
        began, before = time.monotonic(), many.process.cpu_seconds()
        time.sleep(self._plan.calm_seconds)
        percent = 100 * (many.process.cpu_seconds() - before) / (time.monotonic() - began)
        rss[f"mc-sidecar, {MANY} tracked"] = many.process.rss_mib()
        rss[PEAK] = many.process.peak_mib()
        many.process.stop()
        self._pauses(urls)
        return percent

    def _memory(self, urls: Mapping[str, str], interpreter: str) -> Memory:
        version = version_of(interpreter)
        self._say(f"memory under Python {version}")
        return memory(
            lambda name, more: self._stage.sidecar(name, more, urls, interpreter),
            version,
            self._stage.mints,
            load_seconds=self._plan.seconds,
            seconds=2 * self._plan.calm_seconds,
        )

    def _pauses(self, urls: Mapping[str, str]) -> None:
        settings, api, ops = self._stage.settings("watched", TRACKED, urls)
        arguments = python("-m", "bench.watched", "serve", "--config", str(settings))
        process = Process(arguments, SERVER_CORE, stdout=subprocess.PIPE)
        self._stack.callback(process.stop)
        wait_for(f"http://127.0.0.1:{api}/stats", process)
        watched = Contestant("watched", process, api)
        paths = [f"/mc/{mint}" for mint in fill(api, self._stage.mints, MANY)[:BATCH]]
        pauses: list[dict[str, float]] = []
        threading.Thread(target=_read_pauses, args=(process, pauses), daemon=True).start()
        time.sleep(self._plan.calm_seconds)
        for number in range(self._plan.rounds):
            self._say(f"pauses of the event loop, round {number + 1} of {self._plan.rounds}")
            pauses.clear()
            scrape = threading.Timer(self._plan.refresh_seconds / 2, fetch, [f"http://127.0.0.1:{ops}/metrics"])
            scrape.start()
            open_loop(watched, paths, self._plan.refresh_seconds)
            scrape.join()
            time.sleep(1.0)  # the line of the last second
            for what in ("pause", "busy"):
                self._note(what, "", max(line[what] for line in pauses))

    def _idle_percent(self, idle: Contestant, since: tuple[float, float]) -> float:
        left = self._plan.idle_seconds - (time.monotonic() - since[0])
        time.sleep(max(0.0, left))
        return 100 * (idle.process.cpu_seconds() - since[1]) / (time.monotonic() - since[0])

    def _note(self, what: str, name: str, value: float) -> None:
        self._figures[what][name].append(value)

    def _results(
        self,
        missing: Mapping[str, str],
        rss: Mapping[str, float],
        idle: float,
        refreshing: float,
        image: Memory | None,
    ) -> Results:
        found = {what: {name: series(v) for name, v in by.items()} for what, by in self._figures.items()}
        return Results(
            plan=self._plan,
            cpu=found["cpu"],
            rate=found["rate"],
            p99=found["p99"],
            late=found["late"][""],
            batch_cpu=found["batch_cpu"],
            batch_rate=found["batch_rate"],
            rss=rss,
            idle_percent=idle,
            refresh_percent=refreshing,
            import_seconds=found["import"][""],
            start_seconds=found["start"][""],
            warm_seconds=found["warm"][""],
            pause_ms=found["pause"][""],
            busy_ms=found["busy"][""],
            memory=image,
            missing=missing,
        )


def _read_pauses(process: Process, pauses: list[dict[str, float]]) -> None:
    for line in process.lines():
        pauses.append(json.loads(line))  # noqa: PERF401 - each line as it comes
