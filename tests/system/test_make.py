"""What `make` does before there is anything to run."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_an_old_python_is_one_line_and_leaves_nothing_behind(tmp_path: Path) -> None:
    old = tmp_path / "python3.10"
    old.write_text(
        f"#!/bin/sh\nexec {sys.executable} -c "
        "'import sys; sys.version_info = (3, 10, 12); exec(sys.argv[1])' \"$2\"\n"
    )
    old.chmod(0o755)
    venv = tmp_path / "venv"

    made = subprocess.run(  # noqa: S603 - our own Makefile
        ["make", "-C", str(ROOT), f"PYTHON={old}", f"VENV={venv}", f"{venv}/bin/python"],  # noqa: S607 - as a person does
        capture_output=True,
        text=True,
        check=False,
    )

    assert made.returncode == 2
    needs = [line for line in (made.stdout + made.stderr).splitlines() if not line.startswith("make")]
    assert needs == [f"Python 3.11 or later is needed, and {old} is older: make PYTHON=python3.11"]
    assert not venv.exists()
