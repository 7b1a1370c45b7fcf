"""What people say about predictions, through the whole app."""

import asyncio
import json
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import func, select

from db.tables import Correction
from extraction.engine import EngineStatus
from tests.factories_api import Serving, document, form


def corrected(prediction_id: str, **more: Any) -> dict[str, Any]:
    return {
        "prediction_id": prediction_id,
        "verdict": "corrected",
        "record": {"total": "RM 9.50"},
        "reviewer": "ann",
        **more,
    }


async def rows(up: Serving) -> int:
    async with up.sessions.begin() as session:
        return int(await session.scalar(select(func.count()).select_from(Correction)) or 0)


async def test_a_correction_is_merged(up: Serving) -> None:
    answer = await up.extract(**form(document_type="receipt"))
    record = {"total": "RM 9.50", "merchant_name": None, "items": [{"description": "Tea"}]}
    response = await up.client.post("/feedback", json=corrected(answer["id"], record=record))
    assert response.status_code == 201, response.text
    stored = response.json()
    assert stored["record"] == {
        "total": "9.50",
        "merchant_name": None,
        "items": [{"description": "Tea"}],
    }
    assert (stored["reviewer"], stored["supersedes"]) == ("ann", None)

    read = (await up.client.get(f"/predictions/{answer['id']}")).json()
    assert read["record"] == answer["record"]
    assert read["corrected_record"] == {**answer["record"], **stored["record"]}
    assert read["corrections"] == 1
    for path, value in {
        "total": "9.50",
        "merchant_name": None,
        "items.0.description": "Tea",
    }.items():
        field = read["fields"][path]
        assert (field["value"], field["source"], field["confidence"]) == (value, "human", None)
    assert "items.0.total_price" not in read["fields"]
    assert read["fields"]["transaction_date"]["source"] == "model"
    metrics = (await up.client.get("/metrics")).text
    labels = 'document_type="receipt",field="total",model_version="fake-1"'
    assert f"docloop_corrections_total{{{labels}}} 1.0" in metrics


async def test_the_rest_is_confirmed_where_that_is_said(up: Serving) -> None:
    answer = await up.extract(**form(document_type="receipt"))
    for number, rest in enumerate((False, True, True), start=1):
        said = corrected(answer["id"], confirms_rest=rest)
        response = await up.client.post("/feedback", json=said)
        assert response.status_code == (200 if number == 3 else 201), response.text
        assert response.json()["confirms_rest"] is rest
        assert await rows(up) == min(number, 2)  # it says more than the same record did before
    said = {"prediction_id": answer["id"], "verdict": "correct", "confirms_rest": True}
    refused = await up.client.post("/feedback", json=said)
    assert refused.status_code == 422
    assert refused.json()["faults"] == {"confirms_rest": "only with corrected"}


async def test_a_second_correction_supersedes_and_the_history_stays(up: Serving) -> None:
    answer = await up.extract()
    first = (await up.client.post("/feedback", json=corrected(answer["id"]))).json()
    second = await up.client.post(
        "/feedback", json=corrected(answer["id"], record={"total": "9.60"}, reviewer="bob")
    )
    assert second.json()["supersedes"] == first["id"]
    history = (await up.client.get(f"/feedback/{answer['id']}")).json()
    assert [item["record"]["total"] for item in history["corrections"]] == ["9.50", "9.60"]
    in_force = (await up.client.get("/feedback")).json()
    assert [item["id"] for item in in_force["corrections"]] == [second.json()["id"]]
    read = (await up.client.get(f"/predictions/{answer['id']}")).json()
    assert (read["corrected_record"]["total"], read["corrections"]) == ("9.60", 2)

    await up.client.post("/feedback", json={"prediction_id": answer["id"], "verdict": "correct"})
    read = (await up.client.get(f"/predictions/{answer['id']}")).json()
    assert (read["corrected_record"], read["corrections"]) == (None, 3)


async def test_the_same_again_is_no_new_row(up: Serving) -> None:
    answer = await up.extract()
    first = await up.client.post("/feedback", json=corrected(answer["id"]))
    # As printed or as normalised: the same.
    again = await up.client.post(
        "/feedback", json=corrected(answer["id"], record={"total": "9.50"})
    )
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    other = await up.client.post("/feedback", json=corrected(answer["id"], reviewer="bob"))
    assert other.status_code == 201
    assert await rows(up) == 2


async def test_the_same_from_many_at_once_is_one_row(up: Serving) -> None:
    answer = await up.extract()
    responses = await asyncio.gather(
        *(up.client.post("/feedback", json=corrected(answer["id"])) for _ in range(20))
    )
    assert sorted(response.status_code for response in responses) == [200] * 19 + [201]
    assert await rows(up) == 1


async def test_every_field_at_fault_is_named(up: Serving) -> None:
    answer = await up.extract()
    record = {
        "total": "much",
        "transaction_date": "someday",
        "nonsense": "x",
        "items": [{"total_price": "NaN"}],
        "merchant_name": "a\0b",
    }
    response = await up.client.post("/feedback", json=corrected(answer["id"], record=record))
    assert response.status_code == 422
    assert response.json()["type"] == "/problems/invalid-record"
    assert set(response.json()["faults"]) == {
        "total",
        "transaction_date",
        "nonsense",
        "items.0.total_price",
        "merchant_name",
    }
    assert await rows(up) == 0


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"record": None}, "record"),
        ({"verdict": "correct"}, "record"),
        ({"verdict": "unreadable"}, "record"),
        ({"verdict": "perhaps"}, "verdict"),
        ({"prediction_id": "x"}, "prediction_id"),
        ({"comment": "x" * 4001}, "comment"),
        ({"reviewer": "x" * 201}, "reviewer"),
        ({"reviewer": "a\0b"}, "reviewer"),
        ({"reviewer": 7}, "reviewer"),
        ({"score": 1}, "score"),
        ({"record": {}}, ""),
        ({"record": []}, "record"),
    ],
)
async def test_a_body_at_fault(up: Serving, change: dict[str, Any], place: str) -> None:
    answer = await up.extract()
    response = await up.client.post("/feedback", json=corrected(answer["id"]) | change)
    assert response.status_code == 422, response.text
    assert place in response.json()["faults"]
    assert await rows(up) == 0


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"[" * 100_000 + b"]" * 100_000, 422),
        (b'{"record":' * 50_000 + b"1" + b"}" * 50_000, 422),
        (b'{"record": {"total": NaN}}', 422),
        (b'{"verdict": "correct", "verdict": "corrected"}', 422),
        (b"\xff\xfe", 422),
        (b"", 422),
        (b"null", 422),
        (b'"' + b"x" * 2_000_000 + b'"', 413),
    ],
)
async def test_what_is_no_json_for_us(up: Serving, content: bytes, status: int) -> None:
    headers = {"content-type": "application/json"}
    response = await up.client.post("/feedback", content=content, headers=headers)
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"


async def test_deep_but_legal_nesting_is_a_fault_of_the_record(up: Serving) -> None:
    answer = await up.extract()
    deep: Any = {}
    for _ in range(200):
        deep = {"items": [deep]}
    response = await up.client.post("/feedback", json=corrected(answer["id"], record=deep))
    assert response.status_code == 422


async def test_lone_surrogates_do_not_break_the_store(up: Serving) -> None:
    answer = await up.extract()
    told = {"prediction_id": answer["id"], "verdict": "correct", "comment": "a\ud800b"}
    content = json.dumps(told).encode()
    headers = {"content-type": "application/json"}
    response = await up.client.post("/feedback", content=content, headers=headers)
    assert response.status_code in {201, 422}


async def test_unknown_and_unfinished_predictions(up: Serving) -> None:
    unknown = await up.client.post("/feedback", json=corrected(str(uuid4())))
    assert unknown.status_code == 404
    assert (await up.client.get(f"/feedback/{uuid4()}")).status_code == 404
    up.engine.become(EngineStatus.FAILED)
    failed = (await up.client.post("/extract", **form())).json()["prediction_id"]
    response = await up.client.post("/feedback", json=corrected(failed))
    assert (response.status_code, response.json()["state"]) == (409, "failed")
    assert response.json()["type"] == "/problems/prediction-unfinished"


async def test_the_list_in_pages(up: Serving) -> None:
    made = []
    for number in range(3):
        answer = await up.extract(**form(document(str(number))))
        verdict = {"prediction_id": answer["id"], "verdict": "unreadable" if number else "correct"}
        made.append((await up.client.post("/feedback", json=verdict)).json()["id"])
    first = (await up.client.get("/feedback", params={"limit": 2})).json()
    rest = (
        await up.client.get("/feedback", params={"limit": 2, "cursor": first["next_cursor"]})
    ).json()
    assert [row["id"] for row in first["corrections"] + rest["corrections"]] == made[::-1]
    assert rest["next_cursor"] is None
    chosen = (await up.client.get("/feedback", params={"verdict": "correct"})).json()
    assert [row["id"] for row in chosen["corrections"]] == made[:1]
