"""The programs some tests need beside Python."""

import os
import shutil

import pytest


def require_program(program: str, *, package: str) -> str:
    """Return the program's path; without it skip the test, under `CI=true` fail it."""
    path = shutil.which(program)
    if path is not None:
        return path
    message = f"{program} is not installed: get it with the package {package}"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)
