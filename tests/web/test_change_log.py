from sidecar.web.change_log import ChangeLog
from tests.pricing.build import make_mint

ONE, TWO = make_mint(1), make_mint(2)


def test_changes_are_kept_from_the_first_client_on_and_those_before_count_as_forgotten() -> None:
    log = ChangeLog()
    assert [log.note(ONE, 10), log.note(TWO, 10)] == [1, 2]
    assert (log.forgotten, list(log.since(0))) == (2, [])
    log.keep()
    assert [log.note(ONE, 10), log.note(TWO, 10), log.note(ONE, 10)] == [3, 4, 5]
    assert (log.forgotten, list(log.since(2)), list(log.since(4))) == (2, [(TWO, 4), (ONE, 5)], [(ONE, 5)])


def test_the_oldest_change_is_forgotten_where_there_are_too_many() -> None:
    log = ChangeLog()
    log.keep()
    assert [log.note(ONE, 1), log.note(TWO, 1)] == [1, 2]
    assert (log.forgotten, list(log.since(0))) == (1, [(TWO, 2)])
