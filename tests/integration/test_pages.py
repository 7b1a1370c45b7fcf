"""Sign-in, sessions that no other site can ride on, and pages that load nothing from elsewhere."""

import json
import re
from uuid import uuid4

import httpx
import pytest

from api.pages.cookies import COOKIE, csrf_token
from api.pages.sign_in import own_path
from db.queries.keys import list_keys, revoke_key
from db.tables import PageSession, Scope
from tests.factories_api import KEY, Serving, document, form
from tests.probes import count_rows, problem_in

HTML = {"accept": "text/html"}
SAID = {"verdict": "correct"}


def browser(up: Serving) -> httpx.AsyncClient:
    """A client without a key."""
    transport = httpx.ASGITransport(up.app)
    return httpx.AsyncClient(transport=transport, base_url="http://test", headers=HTML)


async def signed_in(up: Serving, key: str = KEY, name: str = "Ann") -> httpx.AsyncClient:
    """A browser with a session, whose requests carry the page's token."""
    client = browser(up)
    answer = await client.post("/login", data={"key": key, "name": name})
    assert answer.status_code == 303, answer.text
    client.headers["x-csrf-token"] = csrf_token(client.cookies[COOKIE])
    return client


async def test_a_key_becomes_a_cookie_that_scripts_and_other_sites_never_get(up: Serving) -> None:
    client = browser(up)
    away = await client.get("/review/next?cause=doubtful")
    assert (away.status_code, away.headers["location"]) == (
        303,
        "/login?next=/review/next%3Fcause%3Ddoubtful",
    )
    wrong = await client.post("/login", data={"key": "dl_no-such-key-0123456789", "name": "Ann"})
    assert wrong.status_code == 401
    assert "No key like this" in wrong.text
    assert "set-cookie" not in wrong.headers
    right = await client.post("/login", data={"key": f" {KEY}\n", "name": "Ann", "next": "/held"})
    assert (right.status_code, right.headers["location"]) == (303, "/held")
    flags = {part.strip().lower() for part in right.headers["set-cookie"].split(";")[1:]}
    assert {"httponly", "samesite=strict", "path=/"} <= flags
    assert "secure" not in flags  # over http
    assert KEY not in right.headers["set-cookie"]
    assert (await client.get("/session")).json() == {"reviewer": "Ann"}
    assert (await browser(up).get("/session")).json() == {"reviewer": None}
    transport = httpx.ASGITransport(up.app)
    async with httpx.AsyncClient(transport=transport, base_url="https://test") as safe:
        answer = await safe.post("/login", data={"key": KEY, "name": ""})
        assert "secure" in answer.headers["set-cookie"].lower()


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ("/versions?x=1", "/versions?x=1"),
        ("//evil.example/", "/"),
        ("https://evil.example/", "/"),
        ("/\\evil.example", "/"),
        ("/\n/evil", "/"),
        ("", "/"),
    ],
)
def test_the_way_back_never_leaves_the_service(given: str, path: str) -> None:
    assert own_path(given) == path


async def test_a_session_cannot_be_ridden(up: Serving) -> None:
    client = await signed_in(up)
    found = await up.extract(**form(document_type="receipt"))
    body = {"json": {"prediction_id": found["id"], **SAID}}
    token = client.headers.pop("x-csrf-token")
    for headers in (
        {},
        {"x-csrf-token": ""},
        {"x-csrf-token": "0" * 64},
        {"x-csrf-token": client.cookies[COOKIE]},
        {"x-csrf-token": token, "sec-fetch-site": "cross-site"},
        {"x-csrf-token": token, "sec-fetch-site": "same-site"},
        {"x-csrf-token": token, "origin": "https://evil.example"},
        {"x-csrf-token": token, "origin": "null"},
    ):
        refused = await client.post("/feedback", headers=headers, **body)
        problem_in(refused, 403, "cross-site")
    for path in ("/models/rollback", "/extract", f"/review/{found['id']}/lease"):
        problem_in(await client.post(path, json={}), 403, "cross-site")
    for path in ("/login", "/logout"):
        refused = await client.post(
            path, data={"key": KEY}, headers={"sec-fetch-site": "cross-site"}
        )
        assert refused.status_code == 403
    assert (await client.get("/session")).status_code == 200
    own = {"x-csrf-token": token, "sec-fetch-site": "same-origin", "origin": "http://test"}
    stored = await client.post("/feedback", headers=own, **body)
    assert (stored.status_code, stored.json()["reviewer"]) == (201, "Ann")


async def test_a_bearer_needs_no_token_and_a_bad_one_is_not_saved_by_the_cookie(
    up: Serving,
) -> None:
    client = await signed_in(up)
    del client.headers["x-csrf-token"]
    wrong = {"authorization": "Bearer dl_no-such-key-0123456789", "accept": "*/*"}
    problem_in(await client.get("/models", headers=wrong), 401, "unauthenticated")
    right = {"authorization": f"Bearer {KEY}"}
    assert (await client.put("/models/shadow", json={"version": None}, headers=right)).is_success


async def test_a_session_ends_with_the_sign_out_and_with_its_key(up: Serving) -> None:
    client = await signed_in(up)
    token = client.cookies[COOKIE]
    out = await client.post("/logout")
    assert (out.status_code, out.headers["location"]) == (303, "/login")
    assert out.headers["clear-site-data"] == '"cache"'
    stolen = browser(up)
    stolen.cookies[COOKIE] = token
    assert (await stolen.get("/")).status_code == 303
    key = await up.make_key("default", Scope.EXTRACT)
    client = await signed_in(up, key)
    assert (await client.get("/")).status_code == 200
    tenant = await up.tenant_id()
    async with up.sessions.begin() as session:
        newest = (await list_keys(session, tenant))[-1]
        await revoke_key(session, tenant, newest.id)
    assert (await client.get("/")).status_code == 303
    assert await count_rows(up, PageSession) == 1


PATHS = (
    *("/", "/?shelf=reviewed", "/upload", "/held", "/versions", "/versions/fake-1"),
    *("/versions/compare", "/types", "/types/receipt", "/types/note", "/types/-/new", "/docs"),
    *("/login", "/review/{id}", "/review/{other}", "/versions/never"),
)


async def test_pages_run_nothing_that_is_not_shipped(up: Serving) -> None:
    """Strict policy, no inline script, style or handler, no other host, every asset there."""
    client = await signed_in(up)
    first = await up.extract(**form(document_type="receipt"))
    second = await up.extract(**form(document("two"), document_type="receipt"))
    note = {"type": "object", "properties": {"number": {"type": "string"}}}
    assert (await up.client.put("/document-types/note", json=note)).is_success
    seen = set[str]()
    for path in PATHS:
        answer = await client.get(path.format(id=first["id"], other=second["id"]))
        assert answer.status_code == (404 if "never" in path else 200), path
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
        assert "unsafe" not in policy
        assert answer.headers["cache-control"] == "no-store"
        text = answer.text
        scripts = re.findall(r"<script([^>]*)>", text)
        assert all("src=" in found or "application/json" in found for found in scripts)
        assert not re.search(r"<[^>]+\s(?:style|on\w+)=", text), path
        assert "<style" not in text
        loaded = re.findall(r"<(?:script|link|img)[^>]*\s(?:src|href)=\"([^\"]+)\"", text)
        assert all(found.startswith("/") and not found.startswith("//") for found in loaded)
        seen |= {found for found in loaded if found.startswith("/assets/")}
    for found in seen:
        asset = await client.get(found)
        assert asset.status_code == 200, found
        assert "immutable" in asset.headers["cache-control"]
        for imported in re.findall(r'from "\./([^"]+)"', asset.text if "js" in found else ""):
            beside = found.rpartition("/")[0]
            assert (await client.get(f"{beside}/{imported}")).status_code == 200
    assert (await client.get("/assets/000/base.css")).headers["cache-control"] == "no-cache"
    assert (await client.get("/assets/000/cookies.py")).status_code == 404


async def test_a_stranger_sees_and_changes_nothing(up: Serving) -> None:
    mine = (await up.extract(**form(document_type="receipt")))["id"]
    client = await signed_in(up, await up.make_key("stranger"), "Eve")
    hidden = (
        ("GET", "/review/{}", None),
        ("GET", "/review/{}/thumbnail", None),
        ("GET", "/versions/compare?prediction={}", None),
        ("POST", "/review/{}/lease", {}),
        ("DELETE", "/review/{}/lease", None),
        ("POST", "/review/{}/region", {"page": 0, "box": [0, 0, 1, 1]}),
    )
    for method, path, body in hidden:
        for known in (mine, str(uuid4())):
            answer = await client.request(method, path.format(known), json=body)
            assert answer.status_code == 404, path
    draft = {"name": "note", "draft": {"type": "object", "properties": {"a": {"type": "string"}}}}
    tried = await client.post("/types/try", json={**draft, "prediction_id": mine})
    assert tried.status_code == 404
    assert mine not in (await client.get("/")).text
    assert (await client.get("/review/next")).json() == {"id": None}
    clerk = await signed_in(up, await up.make_key("default", Scope.EXTRACT), "Cleo")
    for path in ("/held", f"/runs/{uuid4()}/report", "/types/-/new"):
        refused = await clerk.get(path)
        assert refused.status_code == 403
        assert "lacks the scope" in refused.text


async def test_a_hostile_document_stays_text(up: Serving) -> None:
    """What a page prints, a person types or a key is named never becomes markup."""
    evil = "</script><img src=x onerror=alert(1)>\u2028"
    found = await up.extract(**form(document_type="receipt"))
    said = {"prediction_id": found["id"], "verdict": "corrected", "reviewer": evil}
    record = {"merchant_name": evil}
    assert (await up.client.post("/feedback", json={**said, "record": record})).is_success
    client = await signed_in(up, name=evil)
    for path in ("/", "/?shelf=reviewed", f"/review/{found['id']}"):
        text = (await client.get(path)).text
        assert "<img src=x" not in text
        for data in re.findall(r'application/json"[^>]*>(.*?)</script>', text, re.DOTALL):
            assert json.loads(data) is not None
            assert "\u2028" not in data
        assert "&lt;img src=x" in text
