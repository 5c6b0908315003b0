"""openapi.json and the server say the same: each address of one is one of the other, and so is each refusal."""

from __future__ import annotations

import re

import jsonschema
import pytest
from api_contract import CONTRACT

from cicdctl.server.api.contract import FILE
from cicdctl.server.routes import ROUTES

from .conftest import operator_file
from .test_api_reading import remember

API = [
    (route.method, re.sub(r":\w+\}", "}", route.path), route.scope)
    for route in ROUTES
    if route.path.startswith(("/api/", "/trigger/"))
]
EXAMPLES = {"number": "1", "stage": "unit", "pipeline": "build", "name": "production", "digest": "0" * 64}


def described() -> list[tuple[str, str, str]]:
    return [
        (method.upper(), path, found["x-scope"].removesuffix(":<pipeline>"))
        for path, methods in CONTRACT["paths"].items()
        for method, found in methods.items()
    ]


def address(path: str) -> str:
    return re.sub(r"\{(\w+)\}", lambda found: EXAMPLES[found[1]], path)


def test_every_route_is_described_and_every_description_is_a_route():
    """With the scope that it demands, and a security entry that says so."""
    assert sorted(described()) == sorted(API)
    for methods in CONTRACT["paths"].values():
        for found in methods.values():
            is_open = {} in found["security"]
            assert is_open == (found["x-scope"] in ("read", "local")), found["operationId"]


def test_description_is_valid_and_whole():
    """Every schema is one, every reference leads somewhere, every refusal has the one shape, each operation its name."""
    text = FILE.read_text()
    schemas = CONTRACT["components"]["schemas"]
    assert set(re.findall(r"#/components/schemas/(\w+)", text)) == set(schemas)
    for schema in schemas.values():
        jsonschema.Draft202012Validator.check_schema(schema)
    names = [found["operationId"] for methods in CONTRACT["paths"].values() for found in methods.values()]
    assert len(names) == len(set(names))
    for methods in CONTRACT["paths"].values():
        for found in methods.values():
            assert found["summary"] and set(found["tags"]) <= {tag["name"] for tag in CONTRACT["tags"]}
            for status, told in found["responses"].items():
                if status >= "400":
                    assert told["content"] == {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}


@pytest.fixture
def server(make_project, serve):
    """One that shows nothing to anybody without a token."""
    project = make_project(
        '[pipelines.build.stages]\nunit = "true"\n[pipelines.ship]\nenvironment = "production"\n'
        '[pipelines.ship.stages]\nship = "true"\n'
    )
    operator_file(project, '[server]\nanonymous = "none"\n')
    remember(project)
    return serve(project)


def test_nobody_comes_past_a_scope(server):
    """Each address: without a token, with one that is none, and with one that grants everything else."""
    every = {"read", "cancel", "trigger", "admin"}
    weak = {
        "read": None,
        "local": None,
        "cancel": server.token("read", "trigger", name="no-cancel"),
        "trigger": server.token("read", "cancel", "trigger:other", name="no-trigger"),
        "admin": server.token("read", "cancel", "trigger", name="no-admin"),
    }
    assert {scope for _, _, scope in described()} <= every | {"local"}
    for method, path, scope in described():
        where = address(path)
        refused = server.ask(method, where)
        if scope != "local":
            refused.is_refused(401, "no_token")
            assert refused.headers["www-authenticate"] == "Bearer"
        server.ask(method, where, token="cicd_00000000_" + "a" * 43).is_refused(401, "bad_token")
        if weak[scope] is not None and not path.endswith("/rollback"):
            server.ask(method, where, token=weak[scope]).is_refused(403, "scope")
        server.ask(method, where, headers={"Host": "evil.example"}).is_refused(421, "host")


def test_every_address_is_strict(server):
    """An unknown parameter, an unknown field, a body that is no JSON or too large, another method."""
    token = server.token("admin")
    for method, path, _ in described():
        where = address(path)
        server.ask(method, f"{where}?surprise=1", token=token).is_refused(400, "query")
        server.ask("PATCH", where, token=token).is_refused(405, "method")
        if method == "POST":
            server.ask(method, where, token=token, json_body={"surprise": 1}).is_refused(400, "body")
            form = {"Content-Type": "text/plain"}
            server.ask(method, where, token=token, body=b"x", headers=form).is_refused(415, "content_type")
            server.ask(method, where, token=token, body=b" " * 70_000).is_refused(413, "too_large")
    assert server.ask("GET", "/api/queue", token=token).json["waiting_total"] == 0


def test_no_other_site_acts_in_the_name_of_a_session(server):
    """Whoever is logged in by cookie: only our own pages change anything; a bearer token needs no page."""
    token = server.token("admin")
    form = {"Content-Type": "application/x-www-form-urlencoded", "Origin": server.url}
    login = server.ask("POST", "/login", body=f"token={token}&next=/".encode(), headers=form)
    session = {"Cookie": login.headers["set-cookie"].partition(";")[0]}
    for method, path, _ in described():
        if method == "GET":
            continue
        for more in (
            {},
            {"Origin": "http://evil.example"},
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site"},
            {"Origin": "null"},
        ):
            server.ask(method, address(path), headers=session | more).is_refused(403, "origin")
    ours = session | {"Origin": server.url}
    assert server.ask("POST", "/api/pause", headers=ours).json["changed"] is True
    assert server.ask("POST", "/api/unpause", headers={"Authorization": f"Bearer {token}"}).json["changed"] is True


def test_description_is_served_as_it_is(server):
    answer = server.ask("GET", "/api/openapi.json", token=server.token("read"))
    assert answer.body == FILE.read_bytes()
