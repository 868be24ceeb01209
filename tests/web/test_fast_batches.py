"""The fast path answers for several tokens exactly as the routes do, where none of them has to be asked for."""

import itertools
from collections.abc import AsyncIterator

import pytest

from tests.web.serving import JUP, SOL, STSOL
from tests.web.two_ways import HOST, Ways, get, get_many, two_ways


@pytest.fixture
async def ways(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Ways]:
    async with two_ways(monkeypatch) as both:
        await both.compare([get()])
        yield both


async def test_several_tracked_tokens_are_answered_together_and_each_once(ways: Ways) -> None:
    given = ways.path.given
    await ways.compare([get_many(JUP), get_many(JUP, SOL, JUP), get_many(*[SOL, JUP] * 50)])
    assert ways.path.given == given + 3
    ways.compare_counts()


async def test_several_of_which_none_has_to_be_asked_for_are_answered_in_their_order(ways: Ways) -> None:
    other = ways.fast.unpopular()
    for site in (ways.fast, ways.slow):
        await site.wait_for(site.get(f"/mc/{other}"))
    given = ways.path.given
    for several in itertools.permutations([JUP, other, STSOL, SOL]):
        await ways.compare([get_many(*several)])
    for few in ([other], [STSOL], [STSOL, other, STSOL]):
        await ways.compare([get_many(*few)])
    assert ways.path.given == given + 27
    assert other in ways.fast.sidecar.service.engine.tracker.mints
    ways.compare_counts()


async def test_several_of_which_one_has_to_be_asked_for_are_left_to_the_routes_and_counted_once(
    ways: Ways,
) -> None:
    other, given = ways.fast.unpopular(), ways.path.given
    request = f"/mc?mints={JUP},{STSOL},{other}"
    answers = [await site.wait_for(site.get(request)) for site in (ways.fast, ways.slow)]
    assert answers[0].body == answers[1].body
    assert list(answers[0].json["tokens"]) == [JUP, other]
    assert ways.path.given == given
    ways.compare_counts()


@pytest.mark.parametrize(
    "mints",
    [[JUP, "nonsense"], [JUP] * 101, [f"%4A{JUP[1:]}"], [JUP, ""], [f"{JUP}&mints={SOL}"], [""]],
    ids=["no mint", "too many", "percent-encoded", "nothing after a comma", "parameters", "nothing"],
)
async def test_what_is_not_several_mints_is_left_to_the_routes(ways: Ways, mints: list[str]) -> None:
    given = ways.path.given
    await ways.compare([get_many(*mints)] * 2)
    assert ways.path.given == given
    ways.compare_counts()


async def test_a_request_for_several_tokens_makes_its_head_known(ways: Ways) -> None:
    fields = b"User-Agent: another\r\n"
    several = get_many(JUP, SOL).replace(HOST, HOST + fields)
    await ways.compare([several, several, get(fields=fields)])
    assert ways.path.given == 2
