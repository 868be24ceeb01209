"""`promtool test rules` over the rule file of the repository."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml

from tests.programs import require_program
from tests.system.monitoring.files import rule_groups

POD: Final = (
    'job="mc-sidecar",namespace="shop",application="web",workload="ReplicaSet",'
    'pod="web-1",instance="10.0.0.1:9765"'
)
THRIFTY: Final = {"GOMAXPROCS": "1", "GOGC": "400"}
"""Some 250 MiB of garbage in place of a third of the CPU time, and one core: the other one has tests to run."""
SOURCES: Final = ("jupiter", "dexscreener", "geckoterminal", "solana_rpc")

Series = dict[str, str]


def series(metric: str, **labels: str) -> str:
    """Return the name of a series of the first pod that the tests look at."""
    pairs = ",".join([POD, *(f'{key}="{value}"' for key, value in labels.items())])
    return f"{metric}{{{pairs}}}"


def lookups(result: str) -> str:
    """Return the name of the series that counts look-ups with a result."""
    return series("mc_sidecar_lookups_total", result=result)


def requests(source: str, outcome: str) -> str:
    """Return the name of the series that counts requests to a source."""
    return series("mc_sidecar_upstream_requests_total", source=source, outcome=outcome)


def circuit(source: str) -> str:
    """Return the name of the series that says whether a source is left alone."""
    return series("mc_sidecar_upstream_circuit_open", source=source)


POPULAR_SUCCESS: Final = series("mc_sidecar_refresh_last_success_timestamp_seconds", loop="popular")
UNPRICED: Final = series("mc_sidecar_popular_unpriced_tokens")
FLEET_CONNECTED: Final = series("mc_sidecar_fleet_connected")
FLEET_LEADER: Final = series("mc_sidecar_fleet_leader")
SNAPSHOT_SUCCESS: Final = series("mc_sidecar_snapshot_last_success_timestamp_seconds")
RELOADED: Final = series("mc_sidecar_config_last_reload_successful")
UP: Final = series("up")
STARTED: Final = series("process_start_time_seconds")
BUILD: Final = series("mc_sidecar_build_info", version="0.2.0")


def prices_asked_of(source: str) -> str:
    """Return the name of the series that says that prices are asked of a source."""
    return series("mc_sidecar_pricing_source_info", source=source)


def healthy() -> Series:
    """Return ten hours of a healthy sidecar in promtool's notation, one value a minute; its clock starts at 0."""
    return {
        UP: "1x600",
        STARTED: "0x600",
        BUILD: "1x600",
        POPULAR_SUCCESS: "0+60x600",
        series("mc_sidecar_refresh_interval_seconds", loop="popular"): "60x600",
        UNPRICED: "1x600",  # a token that never had a price
        SNAPSHOT_SUCCESS: "0+60x600",
        series("mc_sidecar_snapshot_interval_seconds"): "30x600",
        **{prices_asked_of(source): "1x600" for source in SOURCES if source != "solana_rpc"},
        FLEET_CONNECTED: "1x600",
        FLEET_LEADER: "1x600",
        series("mc_sidecar_fleet_values_received_total"): "0x600",
        RELOADED: "1x600",
        **{lookups(result): "0x600" for result in ("stale", "not_priced", "invalid", "rejected", "error")},
        lookups("hit"): "0+600x600",
        lookups("miss"): "0+6x600",
        **{requests(source, outcome): "0x600" for source in SOURCES for outcome in ("http_5xx", "rate_limited")},
        **{circuit(source): "0x600" for source in SOURCES},
        **{requests(source, "ok"): "0+1x600" for source in ("jupiter", "dexscreener")},
        requests("geckoterminal", "ok"): "0x600",  # not asked while the others answer
        requests("solana_rpc", "ok"): "0+0.2x600",
    }


def pod(number: int, values: Series) -> Series:
    """Return the series of the first pod as those of another one."""
    return {
        name.replace('"web-1"', f'"web-{number}"').replace("10.0.0.1:", f"10.0.0.{number}:"): text
        for name, text in values.items()
    }


def firing(minutes: int, alerts: list[str], severity: str) -> dict[str, Any]:
    """Return the expectation that exactly these alerts fire after so many minutes."""
    samples = [{"labels": f'{{alertname="{alert}",severity="{severity}"}}', "value": 1} for alert in alerts]
    expression = 'count by (alertname, severity) (ALERTS{alertstate="firing"})'
    return {"expr": expression, "eval_time": f"{minutes}m", "exp_samples": samples}


class Scenario(NamedTuple):
    """What changes in ten healthy hours, and what promtool is to expect of it."""

    changed: Series
    expectations: list[dict[str, Any]]


def check_all(folder: Path, scenarios: Mapping[str, Scenario], *, interval: str = "1m") -> str:
    """Run scenarios side by side, each as an application of its name; return what promtool found wrong."""
    values: Series = {}
    expectations: list[dict[str, Any]] = []
    for number, (name, scenario) in enumerate(scenarios.items(), start=1):
        own = pod(number, healthy() | scenario.changed)
        values |= {series.replace('="web"', f'="{name}"'): text for series, text in own.items()}
        alone = f'alertstate="firing",application="{name}"'
        expectations += [
            one | {"expr": one["expr"].replace('alertstate="firing"', alone)} for one in scenario.expectations
        ]
    return check(folder, dict.fromkeys(healthy(), "") | values, expectations, interval=interval)


def check(
    folder: Path,
    changed: Series,
    expectations: list[dict[str, Any]],
    alerts: tuple[Any, ...] = (),
    *,
    interval: str = "1m",
) -> str:
    """Run the rules over ten healthy hours with some series changed; return what promtool found wrong.

    `interval`: of the values, and of the rules' evaluation.
    """
    promtool = require_program("promtool", package="prometheus")
    values = {name: text for name, text in (healthy() | changed).items() if text}
    (folder / "rules.yaml").write_text(yaml.safe_dump(rule_groups()))
    test = {
        "interval": interval,
        "input_series": [{"series": name, "values": text} for name, text in values.items()],
        "promql_expr_test": expectations,
        "alert_rule_test": [*alerts],
    }
    tests = {
        "rule_files": ["rules.yaml"],
        "evaluation_interval": interval,
        "group_eval_order": [group["name"] for group in rule_groups()["groups"]],  # else any
        "tests": [test],
    }
    (folder / "test.yaml").write_text(yaml.safe_dump(tests))
    command = [promtool, "test", "rules", str(folder / "test.yaml")]
    done = subprocess.run(  # noqa: S603 - promtool from PATH
        command, capture_output=True, text=True, check=False, env={**os.environ, **THRIFTY}
    )
    return "" if done.returncode == 0 else done.stdout + done.stderr
