import msgspec

from sidecar.client.wire import read_token
from tests.snapshot.lives import A, market_cap


def test_what_a_later_release_adds_is_read_by_an_application_that_was_built_before() -> None:
    cap = msgspec.structs.replace(market_cap(A, 1.0), confidence="low", confidence_reasons=("moonshine",))
    later = msgspec.json.encode(cap).replace(b"{", b'{"moon":1,', 1)
    assert read_token(200, None, later) == cap
