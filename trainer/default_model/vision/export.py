"""The tower on its own, as `extraction.tower_reader` runs it: pixels in, characters out."""

import warnings
from pathlib import Path

import torch
from torch.jit._trace import TracerWarning
from transformers import Idefics3ForConditionalGeneration, PreTrainedTokenizerBase

from extraction.tower_reader import CELL_PIXELS, FILE, WEIGHTS, WINDOW
from trainer.default_model.vision.places import PlaceReader
from trainer.default_model.vision.plan import load_curriculum
from trainer.default_model.vision.seeing import connect
from trainer.default_model.vision.tower import encode_window, normalised


class _Reader(torch.nn.Module):
    """Windows and the positions of their cells -> the likelihood of each character."""

    def __init__(self, places: PlaceReader) -> None:
        super().__init__()
        self._places = places

    def forward(self, pixels: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        hidden = encode_window(self._places.tower, normalised(pixels), positions)
        return self._places.likeness(connect(self._places.connector, hidden)).softmax(-1)


def export_reader(
    model: Idefics3ForConditionalGeneration, tokenizer: PreTrainedTokenizerBase, folder: Path
) -> None:
    """Writes tower and connector for OpenVINO, in half precision: 16 MB.

    Args:
        model: as `load_sight` gives it, in float32, before an adapter is merged.
        tokenizer: its tokenizer.
        folder: gets `reader.xml` and `reader.weights`.
    """
    import openvino

    reader = _Reader(PlaceReader(model, tokenizer, load_curriculum().places)).eval()
    side = WINDOW * CELL_PIXELS
    example = (
        torch.zeros((2, side, side), dtype=torch.uint8),
        torch.arange(WINDOW**2)[None].expand(2, -1),
    )
    with torch.no_grad(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=TracerWarning)
        converted = openvino.convert_model(reader, example_input=example)
    folder.mkdir(parents=True, exist_ok=True)
    openvino.save_model(converted, folder / FILE)
    (folder / FILE).with_suffix(".bin").rename(folder / WEIGHTS)
