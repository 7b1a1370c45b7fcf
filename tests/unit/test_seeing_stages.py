"""What training does to a model that sees: the loss, the soup and the version, on tiny weights."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from datasets import Dataset
from peft import LoraConfig, PeftModel, get_peft_model
from PIL import Image, ImageDraw
from safetensors.torch import load_file
from transformers import AutoModelForImageTextToText, AutoProcessor
from trl import SFTConfig

from db.blobs import BlobStore
from extraction.lines import Line
from extraction.model_folder import open_model_folder
from extraction.page_view import PageView
from extraction.pages import Page
from tests.factories_lines import page_of
from trainer.dataset import TrainingExample
from trainer.material import _keep_pages
from trainer.page_size import OwnSizeImageProcessor
from trainer.policy import load_policy, lora_targets, read_card
from trainer.profile import load_profile
from trainer.sft import CompletionTrainer
from trainer.soup import uniform_soup
from trainer.tiny_models import build_idefics3, write_card
from trainer.versions import write_version

CHAMPION = "tiny-000000000001"
PAGES = {"tile_pixels": 128, "most_tiles": 1, "most_tiles_alone": 5}


@pytest.fixture(scope="module")
def champion(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / CHAMPION
    folder.mkdir()
    build_idefics3(folder)
    write_card(folder, CHAMPION, sees_images=True)
    card = json.loads((folder / "docloop.json").read_text())
    (folder / "docloop.json").write_text(json.dumps({**card, "layout": "marked", "pages": PAGES}))
    return folder


def rows() -> list[dict[str, Any]]:
    image = Image.new("RGB", (90, 160), "white")
    ImageDraw.Draw(image).text((10, 10), "TOTAL 9.00", fill="black")
    answer = [{"role": "assistant", "content": '{"total":"9.00"}'}]
    return [
        {"prompt": [{"role": "user", "content": text}], "completion": answer, "images": images}
        for text, images in (("receipt: total", [image]), ("TOTAL 9.00\n\nreceipt: total", []))
    ]


def test_the_loss_is_that_of_the_whole_sequence_with_and_without_a_page(
    champion: Path, tmp_path: Path
) -> None:
    model = AutoModelForImageTextToText.from_pretrained(champion, dtype=torch.float32)
    adapted = get_peft_model(
        model, LoraConfig(r=4, target_modules=lora_targets({}), init_lora_weights=False)
    )
    trainer = CompletionTrainer(
        model=adapted,
        args=SFTConfig(
            output_dir=str(tmp_path),
            max_length=None,
            per_device_train_batch_size=1,
            use_cpu=True,
            bf16=False,
            gradient_checkpointing=False,
            dataloader_pin_memory=False,
            report_to=[],
        ),
        train_dataset=Dataset.from_list(rows()),
        processing_class=AutoProcessor.from_pretrained(champion),
    )
    shown = []
    for batch in trainer.get_train_dataloader():
        shown.append("pixel_values" in batch)
        expected = adapted(**batch).loss
        torch.testing.assert_close(trainer.compute_loss(adapted, dict(batch)), expected)
    assert shown == [True, False]


def make_adapter(champion: Path, out: Path, seed: int) -> Path:
    torch.manual_seed(seed)
    model = AutoModelForImageTextToText.from_pretrained(champion, dtype=torch.float32)
    targets = lora_targets(read_card(champion))
    config = LoraConfig(r=4, lora_alpha=8, target_modules=targets, init_lora_weights=False)
    get_peft_model(model, config).save_pretrained(out)
    return out


def test_a_soup_becomes_a_version_whose_tower_is_the_champions(
    champion: Path, tmp_path: Path
) -> None:
    parts = [make_adapter(champion, tmp_path / f"part-{seed}", seed) for seed in (3, 4)]
    soup = tmp_path / "soup"
    report = uniform_soup(parts, soup)
    assert report.largest_error < 1e-6
    assert report.rank == 8
    made = write_version(
        champion,
        soup,
        tmp_path / "versions",
        form="merged",
        most_rank=64,
        run="run-1",
        capitals=None,
        scratch=tmp_path / "scratch",
    )
    opened = open_model_folder(made.folder, expected=made.version, require_hashes=True)
    assert opened.traits.sees_images
    before = load_file(champion / "model.safetensors")
    after = load_file(made.folder / "model.safetensors")
    assert {name: (t.shape, t.dtype) for name, t in after.items()} == {
        name: (t.shape, t.dtype) for name, t in before.items()
    }, "the engine compares them before it loads new weights"
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {name for name in before if "text_model" in name and "_proj" in name}
    image = Image.new("RGB", (90, 160), "white")
    chat = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "read"}]}]
    logits = []
    for folder in (champion, made.folder):
        processor = AutoProcessor.from_pretrained(folder)
        text = processor.apply_chat_template(chat, add_generation_prompt=True)
        shown = processor(images=[[image]], text=[text], return_tensors="pt")
        model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32)
        if folder == champion:
            mean = [PeftModel.from_pretrained(_load(champion), str(part)) for part in parts]
            weights = [dict(m.merge_and_unload().named_parameters()) for m in mean]
            with torch.no_grad():
                for name, weight in model.named_parameters():
                    weight.copy_((weights[0][name] + weights[1][name]) / 2)
        with torch.no_grad():
            logits.append(model(**shown).logits)
    torch.testing.assert_close(logits[1], logits[0], atol=0.05, rtol=0.05)  # bfloat16


def _load(folder: Path) -> Any:
    return AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32)


def test_a_policy_goes_on_from_a_version_that_sees(champion: Path, tmp_path: Path) -> None:
    adapter = make_adapter(champion, tmp_path / "adapter", 3)
    made = write_version(
        champion,
        adapter,
        tmp_path / "versions",
        form="merged",
        most_rank=64,
        run="run-1",
        capitals=True,
        scratch=tmp_path / "scratch",
    )
    section = load_profile("small").adapter.model_copy(update={"dtype": "float32"})
    policy = load_policy(made.folder, section, tmp_path / "scratch")
    served = load_file(made.folder / "model.safetensors")
    name = "model.text_model.layers.0.self_attn.q_proj.weight"
    ours = dict(policy.model.named_parameters())
    torch.testing.assert_close(ours[name].to(torch.bfloat16), served[name])
    assert policy.sees_images
    assert isinstance(policy.processor.image_processor, OwnSizeImageProcessor)
    card = json.loads((made.folder / "docloop.json").read_text())
    assert (card["sees_images"], card["parent"]) == (True, CHAMPION)
    assert (card["layout"], card["pages"]) == ("marked", PAGES), "it is asked as its parent was"
    saved = AutoProcessor.from_pretrained(made.folder).image_processor
    assert not isinstance(saved, OwnSizeImageProcessor), "the engine loads what the base has"


@pytest.mark.parametrize(
    ("size", "lines", "kept"),
    [
        ((200, 300), page_of("A"), (85, 128)),
        ((200, 300), [], (171, 256)),
        ((90, 100), [], (90, 100)),
    ],
)
async def test_pages_are_kept_as_large_as_serving_shows_them(
    tmp_path: Path, size: tuple[int, int], lines: list[Line], kept: tuple[int, int]
) -> None:
    content = Page(0, Image.new("RGB", size, "white")).jpeg
    blobs = cast("BlobStore", Blobs(content))
    example = cast("TrainingExample", Shown(tuple(lines)))
    (path,) = await _keep_pages(example, tmp_path, blobs, PageView.read(PAGES))
    with Image.open(path) as image:
        assert image.size == kept
    untouched = Path(path).read_bytes() == content  # noqa: ASYNC240 - nothing else runs
    assert untouched == (kept == size), "not encoded a second time"


async def test_no_page_is_kept_where_serving_shows_none(tmp_path: Path) -> None:
    view = PageView.read({"tile_pixels": 96, "most_tiles": 0, "stretched": True})
    blobs = cast("BlobStore", Blobs(Page(0, Image.new("RGB", (200, 300), "white")).jpeg))
    beside = cast("TrainingExample", Shown(tuple(page_of("A"))))
    assert await _keep_pages(beside, tmp_path, blobs, view) == []
    (path,) = await _keep_pages(cast("TrainingExample", Shown(())), tmp_path, blobs, view)
    with Image.open(path) as image:
        assert image.size == (96, 96)


@dataclass(frozen=True)
class Blobs:
    content: bytes

    async def get(self, _key: str) -> bytes:
        return self.content


@dataclass(frozen=True)
class Shown:
    lines: tuple[Line, ...]
    base_key: str | None = None
    page_blob_keys: tuple[str, ...] = ("page",)
