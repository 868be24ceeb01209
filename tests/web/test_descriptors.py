import logging
import resource

import pytest

from sidecar.web.descriptors import RESERVED, connections_that_fit
from sidecar.web.refusal import MOST_REFUSALS

OTHERS = 64 + 2 * MOST_REFUSALS + RESERVED


@pytest.mark.parametrize(
    ("soft", "hard", "fitting", "raised"),
    [
        (1024, 1024, 512, None),
        (512 + OTHERS, 4096, 512, None),
        (256, 4096, 512, 512 + OTHERS),
        (256, resource.RLIM_INFINITY, 512, 512 + OTHERS),
        (256, 400, 400 - OTHERS, 400),
        (256, 256, 256 - OTHERS, None),
        (64, 64, 1, None),
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY, 512, None),
    ],
)
def test_as_many_connections_fit_as_the_limit_of_open_files_leaves_room_for(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    *,
    soft: int,
    hard: int,
    fitting: int,
    raised: int | None,
) -> None:
    limits: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda _, limit: limits.append(limit))

    with caplog.at_level(logging.WARNING):
        assert connections_that_fit(512, 64) == fitting

    assert limits == ([] if raised is None else [(raised, hard)])
    assert bool(caplog.records) == (fitting < 512)
