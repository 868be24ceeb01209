"""What the OpenAPI document allows or forbids is sent to a running sidecar, and every answer held against it."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any, Final

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import CHECKS, load_all_checks

from sidecar.app import Sidecar
from sidecar.config.redaction import Redactor
from sidecar.demo import Market, serve
from tests.running import pointed_at
from tests.web.contract import DESCRIPTION
from tests.web.serving import SETTINGS, running

CHECKED: Final = (
    *("status_code_conformance", "content_type_conformance", "response_headers_conformance"),
    *("response_schema_conformance", "unsupported_method"),
)
"""503 and 504 are described, and come when the generated mints use up the budget."""
EXAMPLES: Final = 40
"""For each operation; together a few seconds."""

schema = schemathesis.pytest.from_fixture("described").exclude(method="GET", path="/mc/stream")
"""A stream has no end to wait for; `test_stream` reads it, and HEAD is asked for what is allowed."""


@pytest.fixture
def described() -> Any:
    """Read the document only here: its examples take every worker a second."""
    return schemathesis.openapi.from_dict(DESCRIPTION)


@pytest.fixture(scope="module")
def base_url() -> Iterator[str]:
    """Run a sidecar on the real clock in a thread of its own; its market answers at once."""
    address: Future[str] = Future()
    stop: Future[None] = Future()

    async def run() -> None:
        async with serve(Market()) as urls:
            sidecar = Sidecar(pointed_at(urls, SETTINGS), redactor=Redactor())
            async with running(sidecar):
                address.set_result(sidecar.api_addresses[0])
                await asyncio.wrap_future(stop)

    thread = threading.Thread(target=asyncio.run, args=(run(),))
    thread.start()
    try:
        yield address.result(timeout=10)
    finally:
        stop.set_result(None)
        thread.join(timeout=10)


# The sidecar's loops draw jitter in the other thread, while Hypothesis watches the random module in this one.
@pytest.mark.filterwarnings("ignore:Do not use the `random` module:hypothesis.errors.HypothesisDeprecationWarning")
@schema.parametrize()
@settings(
    max_examples=EXAMPLES,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
    derandomize=True,
)
def test_no_answer_is_outside_the_description(case: schemathesis.Case[Any], base_url: str) -> None:
    load_all_checks()
    response = case.call(base_url=base_url)

    assert response.status_code != 500
    checks: Any = [CHECKS.get_one(name) for name in CHECKED]
    case.validate_response(response, checks=checks)
