"""The stages after the first: batches, losses, stops and new starts, on a tiny decoder."""

import json
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch.nn import functional

from tests.factories_lines import page_of
from tests.factories_seeing import write_decoder, write_trained
from trainer.default_model.sight import TOWER
from trainer.default_model.sroie import ReadReceipt
from trainer.default_model.vision import reading
from trainer.default_model.vision.field_rows import View, without_pages, write_rows
from trainer.default_model.vision.fields import share_right, train_fields
from trainer.default_model.vision.pieces import (
    Piece,
    Steps,
    batch_of,
    batches_of,
    draw_pieces,
)
from trainer.default_model.vision.plan import load_curriculum
from trainer.default_model.vision.reader import LEARNED, Reader, autocast
from trainer.default_model.vision.reading import train_reading
from trainer.default_model.vision.seeing import load_parts, load_seeing, save_parts
from trainer.stage import read_lines

PLAN = load_curriculum()
FEW = PLAN.reading.model_copy(
    update={
        "steps": 3, "rank": 2, "adapter": "", "crops": 1.0, "blocks": 0.0, "warmup_steps": 1,
        "crops_in_step": 2, "blocks_in_step": 1, "tiles_in_step": 1, "save_steps": 1,
        "picture_steps": 3,
    }
)  # fmt: skip
FIELDS = PLAN.fields.model_copy(
    update={
        "sroie": 2, "receipts": 0, "passports": 0, "others": 0, "parts": 0, "read_documents": 0,
        "batch": 1, "alone": 1.0, "measured": 0, "save_steps": 1, "picture_steps": 2,
    }
)  # fmt: skip


@pytest.fixture(scope="module")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_decoder(tmp_path_factory.mktemp("decoder"))


@pytest.fixture(scope="module")
def sight(tmp_path_factory: pytest.TempPathFactory, decoder: str) -> Path:
    return save_parts(load_seeing(3, decoder)[0], tmp_path_factory.mktemp("sight"))


def receipts(folder: Path) -> list[ReadReceipt]:
    file = folder / "page.jpg"
    Image.new("RGB", (450, 1000), "white").save(file)
    lines = page_of("CORNER STORE", ("TOTAL", "9.00"))
    record = {"merchant_name": "CORNER STORE", "total": "9.00"}
    return [ReadReceipt(str(number), lines, lines, record, file) for number in range(3)]


def test_a_batch_has_the_losses_of_its_pieces(decoder: str) -> None:
    model, processor = load_seeing(1, decoder)
    reader = Reader(model, 2)
    pieces = draw_pieces(random.Random(4), FEW, 0.0)
    with torch.no_grad():
        parts = [reader(**batch_of([piece], processor.tokenizer)) for piece in pieces]
        together = reader(**batch_of(pieces, processor.tokenizer))
    assert [len(tokens) for _, tokens in parts] == [
        end - begin for begin, end in batch_of(pieces, processor.tokenizer)["spans"]
    ]
    assert torch.equal(together[1], torch.cat([tokens for _, tokens in parts]))
    alone = torch.cat([logits for logits, _ in parts])
    torch.testing.assert_close(
        functional.cross_entropy(together[0].float(), together[1]),
        functional.cross_entropy(alone.float(), together[1]),
        atol=0.02,
        rtol=0.01,
    )


def test_kinds_move_from_crops_to_tiles(decoder: str) -> None:
    one_each = {"crops_in_step": 1, "blocks_in_step": 1, "tiles_in_step": 1, "steps": 9}
    section = PLAN.reading.model_copy(update=one_each)

    def heights(done: float) -> list[int]:
        drawn = [draw_pieces(random.Random(n), section, done) for n in range(12)]
        return [pieces[0].pixels.shape[0] for pieces in drawn]

    assert 512 not in heights(0.0)
    assert min(heights(0.0)) < 100
    assert heights(1.0).count(512) > 6
    steps = Steps(section, load_seeing(1, decoder)[1].tokenizer, 3)
    first, again = steps[2][0][0], steps[2][0][0]
    assert torch.equal(first["ids"], again["ids"])
    assert len(steps) == 9


def test_questions_about_fields_are_rehearsed_beside_the_pieces(
    decoder: str, tmp_path: Path
) -> None:
    model, processor = load_seeing(1, decoder)
    plan = FIELDS.model_copy(update={"alone": 0.4, "lines_only": 0.3, "sroie": 12})
    rows, _ = write_rows(plan, receipts(tmp_path), tmp_path / "rows", seed=1, threads=1)
    views = [row["view"] for row in read_lines(rows)]
    questions = without_pages(rows)
    assert 0 < len(questions) == len(views) - views.count(View.ALONE) < len(views)
    assert not any(question["image_files"] for question in questions)
    section = FEW.model_copy(update={"rehearsed": 2})
    step = Steps(section, processor.tokenizer, 3, questions)[0]
    assert len(step) == 2
    asked = step[1]
    assert len(asked) == 2
    told = processor.tokenizer.decode(asked[0]["ids"][0])
    assert "TOTAL" in told
    reader = Reader(model, 2)
    with torch.no_grad(), autocast():
        logits, tokens = reader(**asked[0])
        whole = reader.seeing(input_ids=asked[0]["ids"]).logits[0]
    begin, end = asked[0]["spans"][0]
    assert processor.tokenizer.decode(tokens).startswith('{"')
    assert int(tokens[-1]) == processor.tokenizer.eos_token_id
    torch.testing.assert_close(
        logits.float(), whole[begin - 1 : end - 1].float(), atol=0.05, rtol=0.05
    )
    assert len(Steps(section, processor.tokenizer, 3)[0]) == 1, "pieces alone, without questions"


def test_texts_of_unlike_lengths_are_not_filled_up(decoder: str) -> None:
    tokenizer = load_seeing(1, decoder)[1].tokenizer
    pixels = draw_pieces(random.Random(4), FEW, 0.0)[0].pixels
    pieces = [Piece(pixels, (0, 0), "x" * length) for length in (400, 3, 5, 410)]
    batches = batches_of(pieces, tokenizer)
    assert [len(batch["spans"]) for batch in batches] == [2, 2]
    answers = [end - begin - 1 for batch in batches for begin, end in batch["spans"]]
    assert answers == [3, 5, 400, 410], "each piece once"


def test_a_stopped_run_goes_on_as_if_it_had_not_stopped(
    decoder: str, sight: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def train(out: Path) -> dict[str, torch.Tensor]:
        file = train_reading(FEW, seed=2, threads=1, sight=sight, out=out, decoder=decoder)
        return load_file(file)

    whole = train(tmp_path / "whole")
    began = load_file(sight)
    position = "model.vision_model.embeddings.position_embedding.weight"
    folding = "model.connector.modality_projection.proj.weight"
    tower_same, connector_same = (
        torch.equal(whole[f"model.base_model.model.{name}"], began[name].float())
        for name in (position, folding)
    )
    assert (tower_same, connector_same) == (True, False), (
        "the tower is held still, the connector is not"
    )
    assert any(bool(weight.any()) for key, weight in whole.items() if "lora_B" in key)
    said = (tmp_path / "whole" / "pictures" / "crop.txt").read_text()
    assert "was read as" in said
    compute = reading._StepTrainer.compute_loss
    count = 0

    def stopping(self: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
        nonlocal count
        count += 1
        if count > 2:
            raise KeyboardInterrupt
        return compute(self, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(reading._StepTrainer, "compute_loss", stopping)
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path / "stopped")
    resumed = train(tmp_path / "stopped")
    for key, weight in whole.items():
        torch.testing.assert_close(resumed[key], weight, atol=1e-6, rtol=1e-4)


def test_an_adapter_for_lines_alone_is_gone_on_with(decoder: str, tmp_path: Path) -> None:
    trained = write_trained(tmp_path, 5)
    file = trained / "adapter" / "adapter_model.safetensors"
    stored = load_file(file)
    save_file({n.replace(".text_model.", "."): t for n, t in stored.items()}, file)
    reader = Reader(load_seeing(1, decoder)[0], 4, trained / "adapter")
    name = "base_model.model.model.text_model.layers.1.mlp.up_proj.lora_B"
    own = dict(reader.model.named_parameters())[f"{name}.default.weight"]
    assert torch.equal(own.float(), stored[f"{name}.weight"].float())
    with pytest.raises(ValueError, match="this rank"):
        Reader(load_seeing(1, decoder)[0], 8, trained / "adapter")


def test_rows_show_lines_and_pages_in_every_way(tmp_path: Path) -> None:
    counts = {"sroie": 12, "receipts": 1, "passports": 1, "others": 2, "parts": 4, "measured": 1}
    section = FIELDS.model_copy(update={**counts, "alone": 0.4})
    given = receipts(tmp_path)
    learned, held_out = write_rows(section, given, tmp_path / "rows", seed=2, threads=1)
    rows = read_lines(learned)
    assert {row["view"] for row in rows} == set(View)
    for row in rows:
        text = row["prompt"][-1]["content"]
        if row["source"].startswith("sroie"):
            assert ("CORNER" in text) == (row["view"] != View.ALONE)
            assert row["source"] != "sroie/2", "it is held out"
        elif row["view"] == View.PART:
            assert "CORNER" not in text
            assert row["completion"][0]["content"]
        elif row["source"] == "generated/neither":
            assert row["completion"][0]["content"] == "{}", "nothing is invented"
        assert bool(row["image_files"]) == (row["view"] != View.LINES)
        for file in row["image_files"]:
            with Image.open(file) as image:
                if row["view"] == View.BOTH:
                    assert max(image.size) == 512
                assert max(image.size) <= (1024 if row["view"] == View.ALONE else 512)
    measured = read_lines(held_out)
    assert len(measured) == 9, "three documents in three ways"
    asked = json.loads(measured[0]["completion"][0]["content"])
    assert asked == {"merchant_name": "CORNER STORE", "total": "9.00"}
    before = learned.read_bytes()
    write_rows(section, given, tmp_path / "rows", seed=3, threads=1)
    assert learned.read_bytes() == before, "a run that goes on sees what it saw"


def test_fields_are_learned_and_end_as_what_ships(
    decoder: str, sight: Path, tmp_path: Path
) -> None:
    model, _ = load_seeing(2, decoder)
    load_parts(model, sight)
    reader = Reader(model, 2)
    save_file(reader.learned(), tmp_path / LEARNED)
    rows = write_rows(FIELDS, receipts(tmp_path), tmp_path / "rows", seed=2, threads=1)
    one = rows[0].read_text().splitlines()[0]
    rows[1].write_text(one + "\n")  # to be measured
    out = train_fields(
        FIELDS, rank=2, seed=2, threads=1, rows=rows, learned=tmp_path / LEARNED,
        out=tmp_path / "fields", decoder=decoder,
    )  # fmt: skip
    before, after = load_file(tmp_path / LEARNED), load_file(out / "checkpoint-2" / LEARNED)
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    for part in ("vision_model", "connector", "lora_B"):
        assert any(part in name for name in moved), part
    stored = load_file(out / "adapter" / "adapter_model.safetensors")
    assert all("text_model" in name for name in stored)
    assert "was answered" in (out / "pictures" / "alone.txt").read_text()
    card = json.loads((out / TOWER / "tower.json").read_text())
    assert (card["layout"], card["pages"]) == ("marked", PLAN.fields.pages)


@pytest.mark.parametrize(
    ("answer", "share"),
    [
        ('{"a":"X Y","b":"2"}', 1.0),
        ('{"a":"xy","b":"3"}', 0.5),
        ('{"a":"x y","b":"2","c":"9"}', 2 / 3),
        ('{"a":"x y"', 0.0),
        ("[]", 0.0),
    ],
)
def test_the_share_of_fields_that_are_right(answer: str, share: float) -> None:
    assert share_right('{"a":"x y","b":"2"}', answer) == pytest.approx(share)


def test_nothing_invented_about_a_page_with_nothing_is_right() -> None:
    assert (share_right("{}", "{}"), share_right("{}", '{"a":"1"}')) == (1.0, 0.0)
