"""What `bench/accuracy.py hard` counts, on answers that are known."""

from pathlib import Path
from typing import Any

from accuracy_hard import HardPage, draw_sheet, hard, hard_table
from PIL import Image

PAGES = [
    HardPage(
        "photograph 0",
        "photo.png",
        "receipt",
        {"merchant_name": "ACME", "total": "9.00", "transaction_date": "2024-05-01"},
    ),
    HardPage("menu", "menu.png", "unknown", {}),
    HardPage("blank", "blank.png", "unknown", {}),
]


def field(value: Any, confidence: float) -> dict[str, Any]:
    return {"value": value, "raw": str(value), "confidence": confidence}


async def send(path: Path, form: dict[str, str]) -> dict[str, Any]:
    if path.name == "blank.png":
        return {}
    if path.name == "photo.png":
        fields = {
            "merchant_name": field("ACME", 0.99),
            "total": field("8.00", 0.95),
            "currency": field("EUR", 0.3),
        }
        record = {name: one["value"] for name, one in fields.items()}
        return {"document_type": "receipt", "record": record, "fields": fields}
    if form["document_type"] == "auto":
        return {"document_type": "receipt", "record": {}, "fields": {}}
    fields = {"total": field("8.50", 0.85), "merchant_name": field(None, 0.9)}
    return {"document_type": "receipt", "record": {"total": "8.50"}, "fields": fields}


async def test_every_count(tmp_path: Path) -> None:
    for page in PAGES:
        Image.new("RGB", (60, 80), "grey").save(tmp_path / page.image)
    result = await hard(PAGES, tmp_path, send)
    assert result["answered"] == 3 / 5
    assert result["photographs"] == {
        "pages": 1,
        "typed": 1,
        "right": 1,
        "wrong": 1,
        "missing": 1,
        "invented": 1,
        "sure_and_wrong": 1,
    }
    assert result["odd"] == {"pages": 2, "typed": 0, "values": 1, "highest": 0.85, "sure": 1}
    assert ("fields sure and wrong", "1", "") in hard_table(result)
    with Image.open(draw_sheet(result["rows"], tmp_path)) as sheet:
        assert sheet.width > sheet.height
