from pathlib import Path
from typing import get_args

import pytest

from sidecar.models import ConfidenceReason
from tools.docs import DOCS, metrics_page, settings_page


@pytest.mark.parametrize(("name", "page"), [("settings.md", settings_page), ("metrics.md", metrics_page)])
def test_the_generated_page_is_up_to_date(name: str, page: object) -> None:
    assert callable(page)
    assert Path(DOCS, name).read_text(encoding="utf-8") == page(), "run `make docs`"


def test_the_page_on_figures_explains_every_reason_that_an_answer_may_name() -> None:
    text = (DOCS / "figures.md").read_text(encoding="utf-8")
    assert [reason for reason in get_args(ConfidenceReason) if f"| `{reason}` |" not in text] == []
