"""The stages of the adapter: questions, losses, stops and new starts, on a tiny decoder."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch.nn import functional

from extraction.tower_reader import SIDE, TOWER
from tests.factories_lines import page_of
from tests.factories_seeing import write_decoder, write_trained
from trainer.base_model import read_tokenizer
from trainer.default_model.__main__ import SHIPPED, adapter_before
from trainer.default_model.sroie import ReadReceipt
from trainer.default_model.vision import answers
from trainer.default_model.vision.answers import Steps, share_right, train_answers
from trainer.default_model.vision.field_rows import View, write_rows
from trainer.default_model.vision.plan import load_curriculum
from trainer.default_model.vision.questions import question_of, spelled
from trainer.default_model.vision.reader import LEARNED, Reader, autocast
from trainer.default_model.vision.seeing import load_seeing, save_parts
from trainer.default_model.vision.tower import TILE
from trainer.stage import read_lines

PLAN = load_curriculum()
DOCUMENTS = PLAN.documents.model_copy(
    update={
        "sroie": 2, "receipts": 0, "passports": 0, "others": 0, "parts": 2, "read_documents": 0,
        "measured": 1,
    }
)  # fmt: skip
FIELDS = PLAN.fields.model_copy(
    update={
        "rank": 2, "steps": 3, "lines_in_step": 1, "alone_in_step": 1, "parts_in_step": 1,
        "warmup_steps": 1, "save_steps": 1, "picture_steps": 3,
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


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("rows")
    return write_rows(DOCUMENTS, receipts(folder), folder / "rows", seed=2, threads=1)


def test_a_question_without_a_page_is_what_the_whole_model_computes(
    decoder: str, rows: tuple[Path, Path]
) -> None:
    model, processor = load_seeing(1, decoder)
    row = next(row for row in read_lines(rows[0]) if row["view"] == View.LINES)
    question = question_of(row, processor.tokenizer)
    assert question.pixels is None
    assert "TOTAL" in processor.tokenizer.decode(question.prompt[0])
    assert processor.tokenizer.decode(question.answer[0]).startswith('{"')
    assert int(question.answer[0, -1]) == processor.tokenizer.eos_token_id
    reader = Reader(model, 2)
    ids = torch.cat([question.prompt, question.answer], dim=1)
    with torch.no_grad(), autocast():
        logits = reader(question)
        whole = reader.seeing(input_ids=ids).logits[0, question.prompt.shape[1] - 1 : -1]
    torch.testing.assert_close(logits.float(), whole.float(), atol=0.05, rtol=0.05)
    loss = functional.cross_entropy(logits.float(), question.answer[0])
    torch.testing.assert_close(reader.loss(question), loss, atol=0.01, rtol=0.01)


def test_a_page_is_shown_as_the_processor_shows_it(decoder: str, rows: tuple[Path, Path]) -> None:
    model, processor = load_seeing(1, decoder)
    row = next(row for row in read_lines(rows[0]) if row["view"] == View.ALONE)
    question = question_of(row, processor.tokenizer)
    text = processor.apply_chat_template(
        [row["prompt"][0], {"role": "user", "content": [
            {"type": "image"}, {"type": "text", "text": row["prompt"][1]["content"]}]}],
        add_generation_prompt=True,
    )  # fmt: skip
    image = Image.open(row["image_files"][0])
    assert image.size == (TILE, TILE)
    shown = processor(text=[text], images=[[image.convert("RGB")]], return_tensors="pt")
    assert torch.equal(shown["input_ids"], question.prompt)
    reader = Reader(model, 2)
    told = torch.cat([shown["input_ids"], question.answer], dim=1)
    with torch.no_grad(), autocast():
        logits = reader(question)
        whole = reader.seeing(input_ids=told, pixel_values=shown["pixel_values"]).logits[0]
    begin = question.prompt.shape[1] - 1
    torch.testing.assert_close(logits.float(), whole[begin:-1].float(), atol=0.05, rtol=0.05)


def test_a_band_is_shown_with_its_places_alone(decoder: str, rows: tuple[Path, Path]) -> None:
    _, processor = load_seeing(1, decoder)
    row = next(row for row in read_lines(rows[0]) if row["view"] == View.PART)
    first, count = row["band"]
    question = question_of(row, processor.tokenizer)
    assert question.pixels is not None
    assert question.places is not None
    assert question.pixels.shape == (1, count * TILE // SIDE, TILE)
    assert (int(question.places[0, 0]), question.places.shape[1]) == (first * SIDE, count * SIDE)
    shown = (question.prompt == processor.image_token_id).sum()
    assert int(shown) == count * SIDE


def test_each_step_asks_so_many_of_each_view_in_passes(
    decoder: str, rows: tuple[Path, Path]
) -> None:
    tokenizer = load_seeing(1, decoder)[1].tokenizer
    section = FIELDS.model_copy(update={"lines_in_step": 2})
    learned = read_lines(rows[0])
    for number, row in enumerate(learned):
        row["prompt"][0]["content"] = f"row {number}"
    steps = Steps(learned, section, tokenizer, 3)
    assert len(steps) == 3
    first = steps[0]
    assert [question.pixels is None for question in first] == [True, True, False, False]
    texts = {tokenizer.decode(question.prompt[0]) for question in first[:2]}
    assert len(texts) == 2, "a pass takes each row once"
    assert torch.equal(steps[0][0].prompt, first[0].prompt)


def test_a_stopped_run_goes_on_as_if_it_had_not_stopped(
    decoder: str,
    sight: Path,
    rows: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def train(out: Path) -> dict[str, torch.Tensor]:
        train_answers(
            FIELDS, seed=2, threads=1, rows=rows, start=None, before=None, tower=sight,
            sight=DOCUMENTS.sight, out=out, decoder=decoder,
        )  # fmt: skip
        return load_file(out / "checkpoint-3" / LEARNED)

    whole = train(tmp_path / "whole")
    assert all("lora_" in key for key in whole)
    assert any(bool(weight.any()) for key, weight in whole.items() if "lora_B" in key)
    began, kept = load_file(sight), load_file(tmp_path / "whole" / TOWER / "tower.safetensors")
    assert all(torch.equal(began[name], tensor) for name, tensor in kept.items()), "held still"
    stored = load_file(tmp_path / "whole" / "adapter" / "adapter_model.safetensors")
    assert all("text_model" in name for name in stored)
    assert "was answered" in (tmp_path / "whole" / "pictures" / "alone.txt").read_text()
    card = json.loads((tmp_path / "whole" / TOWER / "tower.json").read_text())
    assert (card["layout"], card["pages"]) == ("rows", DOCUMENTS.pages)
    compute = answers._StepTrainer.compute_loss
    count = 0

    def stopping(self: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
        nonlocal count
        count += 1
        if count > 2:
            raise KeyboardInterrupt
        return compute(self, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(answers._StepTrainer, "compute_loss", stopping)
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
    other = write_trained(tmp_path / "other", 6) / "adapter"
    theirs = load_file(other / "adapter_model.safetensors")[f"{name}.weight"].float()
    reader.blend(other, 0.75)
    blended = dict(reader.model.named_parameters())[f"{name}.default.weight"]
    torch.testing.assert_close(blended, 0.75 * stored[f"{name}.weight"].float() + 0.25 * theirs)
    with pytest.raises(ValueError, match="this rank"):
        Reader(load_seeing(1, decoder)[0], 8, trained / "adapter")


def test_rows_show_lines_or_pages(tmp_path: Path) -> None:
    counts = {"sroie": 4, "receipts": 1, "passports": 1, "others": 2, "parts": 4, "measured": 1}
    section = DOCUMENTS.model_copy(update=counts)
    given = receipts(tmp_path)
    learned, held_out = write_rows(section, given, tmp_path / "rows", seed=2, threads=1)
    rows = read_lines(learned)
    assert [sum(row["view"] == view for row in rows) for view in View] == [7, 7, 4]
    for row in rows:
        text = row["prompt"][-1]["content"]
        if row["view"] == View.PART:
            assert "CORNER" not in text
            assert row["completion"][0]["content"]
        elif row["source"].startswith("sroie"):
            assert ("CORNER" in text) == (row["view"] != View.ALONE)
        elif row["source"] == "generated/neither":
            assert row["completion"][0]["content"] == "{}", "nothing is invented"
        assert row["source"] != "sroie/2", "it is held out"
        assert bool(row["image_files"]) == (row["view"] != View.LINES)
        for file in row["image_files"]:
            with Image.open(file) as image:
                assert image.size == (TILE, TILE)
    measured = read_lines(held_out)
    assert len(measured) == 6, "three documents in two ways"
    asked = json.loads(measured[0]["completion"][0]["content"])
    assert asked == {"merchant_name": "CORNER STORE", "total": "9.00"}
    before = learned.read_bytes()
    write_rows(section, given, tmp_path / "rows", seed=3, threads=1)
    assert learned.read_bytes() == before, "a run that goes on sees what it saw"


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


@pytest.mark.parametrize(
    ("text", "in_one_token_each"),
    [
        ('{"a":"X Y","b":{"c":"12"},"d":null}', ["X Y", "12"]),
        ('{"a":"say \\"x\\""}', ['say \\"x\\"']),
        ("<surname>KIM</surname><sex>F</sex>", ["KIM", "F"]),
        ('<think>a is in "A".</think>{"a":"A"}', ["A"]),
        ("{}", []),
    ],
)
def test_what_is_read_from_a_page_is_spelled_out(text: str, in_one_token_each: list[str]) -> None:
    tokenizer = read_tokenizer()
    ids = spelled(text, tokenizer, whole=False)
    assert tokenizer.decode(ids) == text
    told = [tokenizer.decode([token]) for token in ids]
    for value in in_one_token_each:
        assert any(told[at : at + len(value)] == list(value) for at in range(len(told)))
    everything = spelled(text, tokenizer, whole=True)
    assert [tokenizer.decode([token]) for token in everything] == list(text)


def test_a_stage_goes_on_from_the_one_before(tmp_path: Path) -> None:
    assert adapter_before("bands", tmp_path) == SHIPPED
    assert adapter_before("fields", tmp_path) == SHIPPED
    (tmp_path / "bands" / "adapter").mkdir(parents=True)
    assert adapter_before("fields", tmp_path) == tmp_path / "bands" / "adapter"
    assert adapter_before("bands", tmp_path) == SHIPPED
