import re
from pathlib import Path
from typing import get_args

import pytest

from sidecar.models import ConfidenceReason
from tests.test_layers import PACKAGE
from tools.docs import DOCS, metrics_page, settings_page


@pytest.mark.parametrize(("name", "page"), [("settings.md", settings_page), ("metrics.md", metrics_page)])
def test_the_generated_page_is_up_to_date(name: str, page: object) -> None:
    assert callable(page)
    assert Path(DOCS, name).read_text(encoding="utf-8") == page(), "run `make docs`"


def test_the_picture_of_the_architecture_names_only_what_is_there() -> None:
    table = (DOCS / "architecture.md").read_text().split("## The packages")[1].split("`tests/` mirrors")[0]
    for row in re.findall(r"^\| (`.*?) \|(.*)\|$", table, re.MULTILINE):
        folders = re.findall(r"`(\w+)/`", row[0]) or ["."]
        for name in re.findall(r"`([a-z_]+)`", row[1]):
            assert any((PACKAGE / folder / f"{name}.py").exists() for folder in [*folders, "."]), (row[0], name)


def test_each_rule_that_the_code_cites_stands_on_its_page() -> None:
    rules = set(re.findall(r"^\*\*([FR][0-9]+) ", (DOCS / "rules.md").read_text(), re.MULTILINE))
    cited = re.compile(r"docs/rules\.md: ([^)]*)\)|\(([FR][0-9]+)\)")
    for path in PACKAGE.rglob("*.py"):
        for many, one in cited.findall(path.read_text()):
            assert set(re.findall("[FR][0-9]+", many or one)) <= rules, path


def test_the_page_on_figures_explains_every_reason_that_an_answer_may_name() -> None:
    text = (DOCS / "figures.md").read_text(encoding="utf-8")
    assert [reason for reason in get_args(ConfidenceReason) if f"| `{reason}` |" not in text] == []
