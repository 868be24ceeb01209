"""What a fresh interpreter has loaded after an import of ours."""

import subprocess
import sys

import pytest


def test_what_serves_does_without_redis_until_there_is_a_fleet_and_without_rich() -> None:
    code = (
        "import sys, sidecar.app, sidecar.cli, sidecar.runtime.logs; print({'redis', 'rich'} & sys.modules.keys())"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
    assert found.stdout == "set()\n"


@pytest.mark.parametrize("module", ["sidecar", "sidecar.config", "sidecar.pricing.valuation"])
def test_the_lower_modules_do_without_the_web_framework(module: str) -> None:
    code = f"import sys, {module}; print('aiohttp' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
    assert found.stdout == "False\n"
