import copy
import json
from typing import Any, Final, get_args

import jsonschema
import pytest
import schemathesis
from aiohttp import web
from jsonschema import Draft202012Validator

from sidecar import errors
from sidecar.models import Basis, Confidence, ConfidenceReason, MarketCap
from sidecar.runtime.version import __version__
from sidecar.web.api import create_api
from sidecar.web.openapi import document
from sidecar.web.problems import HTTP_PROBLEMS
from sidecar.web.streams import Streams
from tests.web.contract import DESCRIPTION, Answer, check, validate
from tests.web.serving import SOL, Site

SCHEMAS: Final = DESCRIPTION["components"]["schemas"]


def test_the_document_is_valid_openapi_3_1() -> None:
    schemathesis.openapi.from_dict(DESCRIPTION).validate()

    assert DESCRIPTION["openapi"] == "3.1.0"
    for schema in DESCRIPTION["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    for kind in ("parameters", "headers"):
        for described in DESCRIPTION["components"][kind].values():
            Draft202012Validator.check_schema(described["schema"])


def test_every_reference_in_the_document_leads_somewhere() -> None:
    def references(value: Any) -> list[str]:
        if isinstance(value, list):
            return [found for item in value for found in references(item)]
        if not isinstance(value, dict):
            return []
        own = [value["$ref"]] if "$ref" in value else []
        return own + [found for item in value.values() for found in references(item)]

    found = references(DESCRIPTION)
    assert len(found) > 50
    for reference in set(found):
        kind, name = reference.removeprefix("#/components/").split("/")
        assert name in DESCRIPTION["components"][kind], reference


async def test_it_is_served_with_the_version(site: Site) -> None:
    answer = await site.get("/openapi.json")

    assert answer.body == document()
    assert answer.json["info"]["version"] == __version__
    assert (answer.headers["Cache-Control"], answer.headers["Content-Type"]) == ("no-store", "application/json")


async def test_it_describes_exactly_the_routes_that_are_served(site: Site) -> None:
    app = create_api(site.sidecar.service, Streams(site.sidecar.service), unix_socket=False)
    served = {
        (route.method.lower(), route.resource.canonical)
        for route in app.router.routes()
        if isinstance(route.resource, web.Resource)
    }
    described = {(method, path) for path, operations in DESCRIPTION["paths"].items() for method in operations}

    assert described == served
    assert all("head" in operations for operations in DESCRIPTION["paths"].values() if "get" in operations)


def test_it_describes_every_problem_with_its_status() -> None:
    ours = {
        (one.code, one.status)
        for one in vars(errors).values()
        if isinstance(one, type) and issubclass(one, errors.McSidecarError) and one is not errors.SettingsError
    }
    theirs = {(code, status) for status, (code, _) in HTTP_PROBLEMS.items()}
    described = {
        (code, int(name.removeprefix("Problem")))
        for name, response in DESCRIPTION["components"]["responses"].items()
        if name.startswith("Problem")
        for code in response["content"]["application/problem+json"]["schema"]["properties"]["code"]["enum"]
    }

    assert described == ours | theirs
    assert {code for code, _ in described} == set(SCHEMAS["Problem"]["properties"]["code"]["enum"])


def test_its_words_are_those_of_the_code() -> None:
    token, failure = (
        SCHEMAS["Token"]["properties"],
        SCHEMAS["Batch"]["properties"]["errors"]["additionalProperties"],
    )
    per_mint = {"invalid_mint", "not_priced", "upstream_unavailable", "overloaded", "deadline_exceeded"}

    assert token["basis"]["enum"] == list(get_args(Basis))
    assert token["confidence"]["enum"] == list(get_args(Confidence))
    assert token["confidence_reasons"]["items"]["enum"] == list(get_args(ConfidenceReason))
    assert set(failure["properties"]["code"]["enum"]) == per_mint
    assert set(token) == set(MarketCap.__struct_fields__) >= set(SCHEMAS["Token"]["required"])


def test_every_operation_has_a_name_of_its_own() -> None:
    names = [one["operationId"] for operations in DESCRIPTION["paths"].values() for one in operations.values()]

    assert len(set(names)) == len(names) == 11


@pytest.mark.parametrize(
    "wrong",
    [
        {"price_usd": "1.5"},
        {"price_usd": 0},
        {"market_cap_usd": None},
        {"fdv_usd": 0},
        {"basis": "diluted"},
        {"confidence": "certain"},
        {"source": "solana_rpc"},
        {"supply_source": "coingecko"},
        {"symbol": 3},
        {"mint": "abc"},
        {"age_seconds": -1},
        {"stale": 0},
    ],
)
async def test_a_token_with_a_wrong_field_does_not_pass(site: Site, wrong: dict[str, Any]) -> None:
    token = (await site.get(f"/mc/{SOL}")).json

    validate({"$ref": "#/components/schemas/Token"}, token)
    with pytest.raises(jsonschema.ValidationError):
        validate({"$ref": "#/components/schemas/Token"}, token | wrong)


async def test_answers_that_break_the_contract_do_not_pass(site: Site) -> None:
    good = await site.get(f"/mc/{SOL}")
    missing = copy.copy(good.json)
    del missing["liquidity_usd"]
    body = json.dumps(missing).encode()
    headers = {**good.headers, "Content-Length": str(len(body))}

    check("GET", f"/mc/{SOL}", good)
    with pytest.raises(jsonschema.ValidationError):
        check("GET", f"/mc/{SOL}", Answer(200, headers, body))
    with pytest.raises(jsonschema.ValidationError):
        check("GET", f"/mc/{SOL}", Answer(200, {**good.headers, "Cache-Status": "hit"}, good.body))
    with pytest.raises(AssertionError):
        check("GET", f"/mc/{SOL}", Answer(200, {**good.headers, "Content-Type": "text/plain"}, good.body))
    with pytest.raises(KeyError):
        check("GET", f"/mc/{SOL}", Answer(502, good.headers, good.body))
    with pytest.raises(KeyError):
        check("GET", "/stats", Answer(404, good.headers, good.body))
