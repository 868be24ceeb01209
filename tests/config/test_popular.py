from pathlib import Path

import pytest

from sidecar.config.popular import POPULAR, PopularToken, load_popular
from sidecar.errors import SettingsError
from sidecar.models import USDC, Mint, parse_mint
from tests.config.mistakes import BAD_POPULAR_LISTS

HERE = Path(__file__).parent
SHIPPED = HERE.parent.parent / "config" / "popular.yaml"


def test_the_shipped_list_is_the_built_in_one() -> None:
    assert load_popular(SHIPPED, 11) == POPULAR
    assert len(POPULAR) == 11


def test_the_built_in_mints_are_mints() -> None:
    assert [parse_mint(token.mint) for token in POPULAR] == [token.mint for token in POPULAR]


@pytest.mark.parametrize("name", BAD_POPULAR_LISTS)
def test_a_bad_list_leads_to_exactly_one_line(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(HERE)
    path = Path("bad_popular") / f"{name}.yaml"

    with pytest.raises(SettingsError) as caught:
        load_popular(path, 3)

    assert caught.value.mistakes == [f"{path}: {BAD_POPULAR_LISTS[name]}"]


def test_every_bad_list_has_its_line() -> None:
    assert {file.stem for file in (HERE / "bad_popular").iterdir()} == BAD_POPULAR_LISTS.keys()


@pytest.mark.parametrize(("text", "tokens"), [("tokens: []", ()), ("tokens:\n", None)])
def test_a_list_may_be_empty_but_not_left_out(tmp_path: Path, text: str, tokens: tuple[()] | None) -> None:
    file = tmp_path / "popular.yaml"
    file.write_text(text)

    if tokens is None:
        with pytest.raises(SettingsError, match="tokens: must be a list of mint and symbol, not null"):
            load_popular(file, 3)
    else:
        assert load_popular(file, 3) == tokens


@pytest.mark.parametrize("symbol", ["$WIF", "${HOME}", "NO", "on", "Pepe 2.0", "猫"])
def test_a_symbol_is_taken_as_it_is_written(tmp_path: Path, symbol: str) -> None:
    file = tmp_path / "popular.yaml"
    file.write_text(f"tokens:\n  - mint: {USDC}\n    symbol: {symbol}\n")

    assert load_popular(file, 3) == (PopularToken(Mint(USDC), symbol),)


def test_every_mistake_in_a_list_is_told(tmp_path: Path) -> None:
    file = tmp_path / "popular.yaml"
    file.write_text("tokens: [{mint: abc, symbol: 1}, 2]")

    with pytest.raises(SettingsError) as caught:
        load_popular(file, 3)

    assert caught.value.mistakes == [
        f"{file}: tokens[0].mint: must be a mint (base58 of 32 bytes), not 'abc'",
        f"{file}: tokens[0].symbol: must be a string of 1 to 32 printable characters, not 1",
        f"{file}: tokens[1]: must be a mapping of keys, not a single value",
    ]
