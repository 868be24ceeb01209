"""Holds an answer of the application's listener against the OpenAPI document that it serves."""

import json
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from jsonschema import Draft202012Validator

from sidecar.web.openapi import document

DESCRIPTION: Final[dict[str, Any]] = json.loads(document())


class Answer(NamedTuple):
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def check(method: str, path: str, answer: Answer) -> None:
    """Assert that the document describes this answer: status, headers, media type, body."""
    response = _response(method, path, answer.status)
    for name, reference in response["headers"].items():
        assert name in answer.headers, f"{method} {path}: no {name}"
        header = DESCRIPTION["components"]["headers"][reference["$ref"].rpartition("/")[2]]
        validate(header["schema"], _typed(answer.headers[name], header["schema"]))
    if method == "HEAD":
        assert answer.body == b""
        return
    assert int(answer.headers["Content-Length"]) == len(answer.body)
    assert answer.headers["Content-Type"] in response["content"]
    validate(response["content"][answer.headers["Content-Type"]]["schema"], answer.json)


def validate(schema: Mapping[str, Any], value: Any) -> None:
    """Raise ValidationError unless a schema of the document allows the value."""
    Draft202012Validator({**schema, "components": DESCRIPTION["components"]}).validate(value)


def _response(method: str, path: str, status: int) -> dict[str, Any]:
    response: dict[str, Any] = _described(method, path)[str(status)]
    if "$ref" in response:
        response = DESCRIPTION["components"]["responses"][response["$ref"].rpartition("/")[2]]
    return response


def _described(method: str, path: str) -> dict[str, Any]:
    """Return the responses of the operation, those to no operation where it is none."""
    bare = path.partition("?")[0]
    prefix, _, mint = bare.rpartition("/")
    is_token = prefix == "/mc" and mint not in {"", "stream"}
    operations = DESCRIPTION["paths"].get("/mc/{mint}" if is_token else bare)
    kind = "Head" if method == "HEAD" else "Problem"
    if operations is None:
        return {str(status): {"$ref": f"/{kind}{status}"} for status in (403, 404, 414, 431)}
    if method.lower() not in operations:
        return {"405": {"$ref": f"/{kind}405"}}
    responses: dict[str, Any] = operations[method.lower()]["responses"]
    return responses


def _typed(text: str, schema: Mapping[str, Any]) -> str | int:
    return int(text) if schema["type"] == "integer" else text
