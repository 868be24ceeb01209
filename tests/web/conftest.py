from collections.abc import AsyncIterator

import pytest

from tests.web.serving import Site, serving


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    """Run a warm sidecar."""
    async with serving() as running:
        yield running
