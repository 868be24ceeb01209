from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from sidecar.config.redaction import Redactor, masked, origin, secret_parts

KEY = "k/ey=1&ü +%~"


@pytest.mark.parametrize(
    "text",
    [KEY, quote(KEY), quote(KEY, safe=""), quote_plus(KEY), quote(KEY, safe="").lower(), quote(KEY, safe="/=&+")],
)
def test_a_secret_is_masked_in_every_encoding(text: str) -> None:
    assert (
        Redactor([KEY]).redact(f"failed: https://h/?k={text}, twice {text}")
        == "failed: https://h/?k=***, twice ***"
    )


def test_a_secret_that_was_given_encoded_is_masked_decoded_too() -> None:
    assert Redactor(["a%2Fb%20c"]).redact("a/b c, a%2Fb%20c, a%2fb+c") == "***, ***, ***"


@given(secret=st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=4, max_size=30))
def test_a_secret_is_never_found_in_a_url_made_of_it(secret: str) -> None:
    redactor = Redactor([secret])
    url = URL("http://h/").with_query({"q": secret})

    assert secret not in redactor.redact(f"cannot reach {url.human_repr()} or {secret}")
    assert redactor.redact(str(url)) == "http://h/?q=***"


def test_the_longer_secret_is_masked_whole_when_it_contains_another() -> None:
    assert Redactor(["abcd", "abcdefgh"]).redact("abcdefgh abcd") == "*** ***"


def test_nothing_is_masked_without_a_secret_of_four_characters() -> None:
    assert Redactor(["abc", ""]).redact("abc") == "abc"
    assert Redactor().redact("text") == "text"


def test_secrets_that_turn_up_later_are_learnt_and_the_oldest_forgotten() -> None:
    redactor = Redactor(["given"])
    for number in range(33):
        redactor.learn(f"key-{number:02}")
        redactor.learn(f"key-{number:02}")

    assert redactor.redact("given key-00 key-01 key-32") == "*** key-00 *** ***"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://api.jup.ag", "https://api.jup.ag"),
        ("https://api.jup.ag/", "https://api.jup.ag"),
        ("http://127.0.0.1:8080/jupiter/", "http://127.0.0.1:8080/***"),
        ("http://[::1]:80?key=1", "http://[::1]:80/***"),
        ("https://user:word@rpc.example", "https://rpc.example/***"),
        ("https://rpc.example#part", "https://rpc.example/***"),
        ("https://rpc.example:port/", "***"),
        ("https://[::1/", "***"),
        ("https:///path", "***"),
        ("rpc.example/path", "***"),
    ],
)
def test_of_a_url_only_the_origin_is_shown(url: str, shown: str) -> None:
    assert origin(url) == shown


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("https://rpc.example/", set()),
        ("https://rpc.example/v2", set()),
        ("https://rpc.example/v2/key/", {"/v2/key"}),
        ("https://rpc.example/?a=12345&b=2", {"a=12345&b=2", "12345"}),
        ("https://[broken/path", {"https://[broken/path"}),
    ],
)
def test_what_is_secret_in_a_url(url: str, parts: set[str]) -> None:
    assert secret_parts(url) == parts


def test_masking_leaves_the_tree_it_was_given_alone() -> None:
    tree = {"a": {"api_key": "k", "port": 1}, "port": 2}

    assert masked(tree, frozenset({"a.port"})) == {"a": {"api_key": "***", "port": "***"}, "port": 2}
    assert tree == {"a": {"api_key": "k", "port": 1}, "port": 2}
