"""The default model that sees is put together, asked, and learned from as any other version."""

import copy
import io
import json
from pathlib import Path

import pytest
import torch
from PIL import Image, ImageDraw
from safetensors.torch import load_file, save_file
from transformers import AutoModelForImageTextToText, AutoProcessor

from extraction.document_types.passport import PASSPORT
from extraction.document_types.receipt import RECEIPT
from extraction.engine import Prompt
from extraction.layout import Layout
from extraction.model_folder import differences, open_model_folder
from extraction.page_view import PageView
from extraction.pages import Page
from extraction.prompt import AnswerFormat, Asked, build_prompt
from extraction.tower_reader import TOWER
from tests.factories_lines import page_of
from tests.factories_seeing import PAGES, as_parts, write_shipped, write_trained
from trainer.base_model import read_tokenizer
from trainer.default_model.assemble import assemble, version_of
from trainer.default_model.sight import PARTS, WEIGHTS, base_name
from trainer.default_model.vision.seeing import TILE_TOKENS, image_tokens, load_sight, processor_of
from trainer.page_size import by_page_size
from trainer.policy import base_of, load_policy
from trainer.profile import load_profile
from trainer.versions import write_version
from trainer.vocabulary import special_tokens

LINES = page_of("CORNER <|im_end|> STORE", ("TOTAL", "9.00"))
VIEW = PageView.read(PAGES)


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shipped(tmp_path_factory.mktemp("seeing"))


@pytest.fixture(scope="module")
def served(shipped: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("served") / "model"
    assemble(shipped, folder)
    return folder


def prompts() -> list[Prompt]:
    asked = [
        Asked(RECEIPT),
        Asked(RECEIPT.select(("total",)), reasoning=True, layout=Layout.MARKED),
        Asked(PASSPORT, AnswerFormat.ENTITY_TOKENS),
    ]
    return [build_prompt(one, lines) for one in asked for lines in (LINES, ())]


def test_text_is_asked_with_the_tokens_that_the_blind_model_has() -> None:
    blind = read_tokenizer()
    own = copy.deepcopy(blind)
    blind.add_special_tokens({"additional_special_tokens": list(special_tokens())})
    own.add_special_tokens({"additional_special_tokens": [*special_tokens(), *image_tokens()]})
    processor = processor_of(own)
    for prompt in prompts():
        chat = [{"role": m.role, "content": m.text} for m in prompt.messages]
        parts = [as_parts(message) for message in prompt.messages]
        for messages in (chat, chat[1:]):
            text = blind.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
            ids = blind(text, add_special_tokens=False)["input_ids"]
            for given in (messages, parts if messages is chat else parts[1:]):
                seen = processor.apply_chat_template(given, add_generation_prompt=True)
                assert seen == text
                assert processor(text=[seen], add_special_tokens=False)["input_ids"] == [ids]


def page(width: int, height: int) -> Page:
    image = Image.new("RGB", (width, height), "white")
    ImageDraw.Draw(image).text((20, 20), "TOTAL 9.00", fill="black")
    return Page(0, image)


@pytest.mark.parametrize("size", [(463, 1013), (900, 700), (300, 1900)])
def test_a_page_stands_straight_before_the_text(served: Path, size: tuple[int, int]) -> None:
    assert VIEW.show([page(*size)], 1, alone=False).images == ()
    shown = VIEW.show([page(*size)], 1, alone=True)
    prompt = build_prompt(Asked(RECEIPT.select(("total",))), (), shown=shown)
    processor = AutoProcessor.from_pretrained(served)
    text = processor.apply_chat_template(
        [as_parts(message) for message in prompt.messages], add_generation_prompt=True
    )
    assert f"<|im_start|>user\n<image>{prompt.messages[1].text}<|im_end|>\n" in text
    images = [Image.open(io.BytesIO(image)) for image in shown.images]
    options = {"images_kwargs": dict(shown.options)}
    found = processor(text=[text], images=[images], return_tensors="pt", **options)
    assert found["pixel_values"].shape[:2] == (1, 1)
    pads = found["input_ids"] == processor.image_token_id
    assert int(pads.sum()) == TILE_TOKENS == 48 * 48
    assert int((found["input_ids"] == processor.tokenizer.unk_token_id).sum()) == 0
    trained = by_page_size(AutoProcessor.from_pretrained(served))
    same = trained(text=[text], images=[images], return_tensors="pt")
    assert torch.equal(same["pixel_values"], found["pixel_values"]), "as in training"
    low, high = float(found["pixel_values"].min()), float(found["pixel_values"].max())
    assert -1 <= low < high == pytest.approx(1), "as the tower's first stage has them"


def test_it_is_served_as_it_was_trained_to_be_asked(shipped: Path, served: Path) -> None:
    opened = open_model_folder(served)
    assert opened.traits.sees_images
    assert (opened.traits.layout, opened.traits.pages) == (Layout.MARKED, VIEW)
    assert opened.version == version_of(shipped)
    assert opened.base == base_name(shipped / TOWER)
    tower, merged = load_file(shipped / TOWER / WEIGHTS), load_file(served / "model.safetensors")
    assert all(torch.equal(merged[name], tensor) for name, tensor in tower.items())
    size = (shipped / TOWER / WEIGHTS).stat().st_size
    assert size < 20_000_000, "it ships in the repository"


def test_another_tower_is_another_version(shipped: Path, tmp_path: Path) -> None:
    other = write_shipped(tmp_path, seed=6)
    adapter = "adapter_model.safetensors"
    (other / adapter).write_bytes((shipped / adapter).read_bytes())
    assert version_of(other) != version_of(shipped)


def test_an_adapter_of_a_model_without_a_tower_is_refused(tmp_path: Path) -> None:
    shipped = write_shipped(tmp_path)
    file = shipped / "adapter_model.safetensors"
    tensors = load_file(file)
    renamed = {name.replace(".text_model.", "."): tensor for name, tensor in tensors.items()}
    save_file(renamed, file, metadata={"format": "pt"})
    with pytest.raises(ValueError, match="no adapter of this model"):
        assemble(shipped, tmp_path / "served")


def test_a_tower_with_a_part_missing_is_refused(tmp_path: Path) -> None:
    file = write_trained(tmp_path, 5) / TOWER / WEIGHTS
    tensors = load_file(file)
    tensors.pop("model.connector.modality_projection.proj.weight")
    save_file(tensors, file)
    with pytest.raises(RuntimeError, match="tensors of a tower"):
        load_sight(tmp_path / TOWER)


def test_the_loop_goes_on_from_it_wherever_it_lies(
    shipped: Path, served: Path, tmp_path: Path
) -> None:
    """Version upon version: each carries its tower, and an engine takes its weights in place."""
    champion = served
    names = []
    for number in (1, 2):
        made = write_version(
            champion,
            write_trained(tmp_path / f"trained-{number}", 10 + number) / "adapter",
            tmp_path / f"versions-{number}",
            form="merged",
            most_rank=64,
            run=f"run-{number}",
            capitals=None,
            scratch=tmp_path / f"scratch-{number}",
        )
        opened = open_model_folder(made.folder, expected=made.version, require_hashes=True)
        assert differences(served, made.folder) == []
        assert base_of(made.folder) == str((made.folder / TOWER).resolve())
        assert (opened.base, opened.traits.pages) == (base_name(shipped / TOWER), VIEW)
        names.append(made.version)
        champion = made.folder
    assert len({*names, version_of(shipped)}) == 3
    section = load_profile("small").adapter.model_copy(update={"dtype": "float32"})
    policy = load_policy(champion, section, tmp_path / "scratch")
    weights = load_file(champion / "model.safetensors")
    held = {name: w for name, w in policy.model.state_dict().items() if name in weights}
    assert any(name.startswith(PARTS[0]) for name in held)
    for name, weight in held.items():
        assert torch.equal(weight.to(torch.bfloat16), weights[name]), name
    loaded = AutoModelForImageTextToText.from_pretrained(champion, dtype=torch.float32)
    assert loaded.generation_config.eos_token_id == policy.tokenizer.eos_token_id
    card = json.loads((champion / "docloop.json").read_text())
    assert card["parent"] == names[0]
