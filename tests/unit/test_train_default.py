"""The default model's adapter is trained on lines, with a tower that is held still or without."""

import shutil
from pathlib import Path

from safetensors.torch import load_file

from extraction.document_types.receipt import RECEIPT
from extraction.prompt import Asked
from extraction.tower_reader import TOWER
from tests.factories_lines import page_of
from tests.factories_seeing import write_trained
from trainer.adapters import read_adapter
from trainer.default_model.assemble import assemble, install_seeing
from trainer.default_model.sight import WEIGHTS
from trainer.default_model.train import Recipe, train
from trainer.examples import make_example

EXAMPLE = make_example(
    Asked(RECEIPT.select(("total",))), page_of("TOTAL 9.00"), {"total": "9.00"}, source="test"
)
RECIPE = Recipe(rank=4, batch=2, warmup_steps=0, save_steps=1)


def test_a_decoder_with_a_tower_learns_from_lines(tmp_path: Path) -> None:
    tower = write_trained(tmp_path / "seeing", 5) / TOWER
    runs = tmp_path / "runs"
    layers = read_adapter(train([EXAMPLE] * 4, RECIPE, runs, tower)).layers
    assert layers
    assert all(".text_model.layers." in name for name in layers), "the tower is held still"
    assert all(float(layer.delta().abs().max()) > 0 for layer in layers.values())

    shutil.copytree(tower, runs / TOWER)
    install_seeing(runs, tmp_path / "shipped")
    assemble(tmp_path / "shipped", tmp_path / "model")
    served = load_file(tmp_path / "model" / "model.safetensors")
    assert all(name in served for name in load_file(tower / WEIGHTS))
