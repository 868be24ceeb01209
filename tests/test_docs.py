from pathlib import Path

import pytest

from tools.docs import DOCS, metrics_page, settings_page


@pytest.mark.parametrize(("name", "page"), [("settings.md", settings_page), ("metrics.md", metrics_page)])
def test_the_generated_page_is_up_to_date(name: str, page: object) -> None:
    assert callable(page)
    assert Path(DOCS, name).read_text(encoding="utf-8") == page(), "run `make docs`"
