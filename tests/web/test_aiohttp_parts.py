"""What is used of aiohttp without a promise is there in the aiohttp that is installed."""

import ast
import inspect
from pathlib import Path
from typing import Any, Final

import pytest
from aiohttp import StreamReader, web
from aiohttp.http import RawRequestMessage
from aiohttp.http_exceptions import HttpProcessingError, LineTooLong

from sidecar.web.aiohttp_parts import USED, HttpProtocol

WEB: Final = Path(__file__).parents[2] / "sidecar" / "web"
CLASSES: Final[dict[str, Any]] = {
    "RequestHandler": web.RequestHandler,
    "BaseRequest": web.BaseRequest,
    "RawRequestMessage": RawRequestMessage,
    "StreamReader": StreamReader,
    "HttpProcessingError": HttpProcessingError,
    "LineTooLong": LineTooLong,
}
PUBLIC: Final = {"aiohttp", "aiohttp.web", "aiohttp.typedefs", "aiohttp.http"}


@pytest.mark.parametrize(("owner", "name"), [(owner, name) for owner in CLASSES for name in USED[owner]])
def test_every_attribute_that_is_used_is_there(owner: str, name: str) -> None:
    assert hasattr(CLASSES[owner], name)


@pytest.mark.parametrize("name", USED["RequestHandler.__init__"])
def test_every_parameter_that_is_used_is_there(name: str) -> None:
    assert name in inspect.signature(web.RequestHandler.__init__).parameters


async def test_a_server_has_what_is_replaced_of_it() -> None:
    async def handler(_: web.BaseRequest) -> web.StreamResponse:
        raise AssertionError

    for name in USED["Server"]:
        assert callable(getattr(web.Server(handler), name))


def test_the_list_is_complete() -> None:
    tree = ast.parse((WEB / "aiohttp_parts.py").read_text())
    private = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__")
    }
    overridden = {name for name in vars(HttpProtocol) if name in vars(web.RequestHandler) and name[:2] != "__"}
    assert private | overridden <= {name for names in USED.values() for name in names}


def test_no_other_module_reaches_into_aiohttp() -> None:
    for path in WEB.glob("*.py"):
        modules = {
            str(node.module)
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("aiohttp")
        }
        assert path.name == "aiohttp_parts.py" or modules <= PUBLIC, path.name
