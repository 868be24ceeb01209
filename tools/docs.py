"""Write `docs/settings.md` and `docs/metrics.md` from the code; a test says when they drift."""

import ast
import inspect
import itertools
import sys
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml
from prometheus_client.metrics_core import Metric

from sidecar.config.section import Section
from sidecar.config.settings import FileSettings
from sidecar.config.source_settings import SourcesSettings
from sidecar.config.words import allowed
from sidecar.metrics.fleet import FleetMetrics
from sidecar.metrics.metrics import Metrics
from sidecar.runtime.clock import SystemClock

DOCS: Final = Path(__file__).parent.parent / "docs"
MOST_VALUES: Final = 12
OPEN_LABELS: Final = {"python", "status"}
"""Labels whose values depend on where and when."""

_SETTINGS_HEAD: Final = """# Settings

Written by `make docs` from the code. Every key is optional; [sidecar.yaml](../config/sidecar.yaml) has them all.
Unknown keys, wrong types and contradictions stop the start with exit code 2 and a line for each.

| key | default | must be | what it does |
|---|---|---|---|
"""

_METRICS_HEAD: Final = """# Metrics

Written by `make docs` from the code. A mint is a label only in the `token_…` series, for the popular list. Known
label values exist from the start. Counters end in `_total`, histograms have `_bucket`, `_sum` and `_count`.

| metric | type | labels | what it says |
|---|---|---|---|
"""


def settings_page() -> str:
    """Return the page of all settings."""
    rows = "".join(
        f"| `{key}` | `{default}` | {must} | {text} |\n"
        for key, default, must, text in _settings(FileSettings(), "")
    )
    return _SETTINGS_HEAD + rows


def metrics_page() -> str:
    """Return the page of all metrics."""
    metrics = Metrics(SystemClock(), version="…", revision="…")
    for gauge in (metrics.token_market_cap, metrics.token_updated):
        gauge.labels("…", "…")
    for gauge in (metrics.refresh_last_success, metrics.refresh_interval, metrics.pricing_source):
        gauge.labels("…")
    metrics.hot.route("…").record(200, 0.0)
    metrics.declare_snapshot(30.0).value = 0.0
    FleetMetrics(metrics.registry)
    rows = sorted(_metric_row(family) for family in metrics.registry.collect())
    return _METRICS_HEAD + "".join(rows)


def _settings(section: Section, prefix: str) -> Iterator[tuple[str, str, str, str]]:
    texts = _docstrings(type(section))
    hints = typing.get_type_hints(type(section), include_extras=True)
    for name in section.__struct_fields__:
        key, default = f"{prefix}{name}", getattr(section, name)
        if isinstance(default, Section):
            yield from _settings(default, f"{key}.")
        else:
            must = allowed(hints[name]).replace("|", "\\|")
            yield key, _yaml(default), must, " ".join(texts.get(name, "").split())


def _docstrings(section: type[Section]) -> dict[str, str]:
    """Return the text under each attribute, inherited ones included."""
    texts: dict[str, str] = {}
    for one in reversed(section.__mro__[: section.__mro__.index(Section)]):
        if one is SourcesSettings:  # made from the list of sources: all of it are sections
            continue
        body = typing.cast("ast.ClassDef", ast.parse(inspect.getsource(one)).body[0]).body
        for attribute, text in itertools.pairwise(body):
            if isinstance(attribute, ast.AnnAssign) and isinstance(text, ast.Expr):
                texts[ast.unparse(attribute.target)] = str(ast.literal_eval(text.value))
    return texts


def _yaml(value: Any) -> str:
    text = yaml.safe_dump(list(value) if isinstance(value, tuple) else value, default_flow_style=True)
    return text.removesuffix("...\n").strip()


def _metric_row(family: Metric) -> str:
    labels: dict[str, dict[str, None]] = {}
    for sample in family.samples:
        for name, value in sample.labels.items():
            labels.setdefault(name, {})[value] = None
    suffix = "_total" if family.type == "counter" else ""
    shown = "; ".join(_label(name, list(values)) for name, values in labels.items() if name != "le")
    return f"| `{family.name}{suffix}` | {family.type} | {shown} | {family.documentation} |\n"


def _label(name: str, values: list[str]) -> str:
    known = [value for value in values if value != "…" and name not in OPEN_LABELS]
    if not known or len(known) > MOST_VALUES:
        return f"`{name}`"
    return f"`{name}`: {', '.join(known)}"


def main() -> int:
    """Write both pages."""
    (DOCS / "settings.md").write_text(settings_page(), encoding="utf-8")
    (DOCS / "metrics.md").write_text(metrics_page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
