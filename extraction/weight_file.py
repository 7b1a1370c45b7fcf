"""A safetensors file, read without the library: what it declares, and whether it holds numbers.

The format: 8 bytes of little-endian length, so much JSON, then the tensors without gaps.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

_MOST_HEADER_BYTES = 100_000_000  # the limit of the format's own reader
_DTYPE_BITS = {
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0"), 8),
    **dict.fromkeys(("I16", "U16", "F16", "BF16"), 16),
    **dict.fromkeys(("I32", "U32", "F32"), 32),
    **dict.fromkeys(("I64", "U64", "F64", "C64"), 64),
}
# Unsigned integer of the same size, and the exponent: all ones in an infinity and in a NaN.
_EXPONENTS: dict[str, tuple[np.dtype[Any], int]] = {
    "BF16": (np.dtype("<u2"), 0x7F80),
    "F16": (np.dtype("<u2"), 0x7C00),
    "F32": (np.dtype("<u4"), 0x7F800000),
    "F64": (np.dtype("<u8"), 0x7FF0000000000000),
}
_BLOCK_VALUES = 1 << 20


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor of a file.

    Attributes:
        dtype: as the format spells it, "BF16".
        shape: its dimensions.
        begin: where its bytes begin in the file.
        end: where they end.
    """

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int

    @property
    def kind(self) -> str:
        """Dtype and shape, "BF16[64, 64]"."""
        return f"{self.dtype}{list(self.shape)}"


def read_header(path: Path) -> Mapping[str, Tensor]:
    """Name -> tensor, from the file's header.

    Raises:
        OSError: it cannot be read.
        ValueError: it breaks the format, or the file has another size than it declares.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= min(_MOST_HEADER_BYTES, size - 8):  # noqa: PLR2004 - "{}"
            raise ValueError("its header does not fit")
        text = file.read(length)
    try:
        declared = json.loads(text.decode())
        tensors = {
            str(name): _tensor(name, content, 8 + length)
            for name, content in declared.items()
            if name != "__metadata__"
        }
    except (TypeError, KeyError, AttributeError, RecursionError, UnicodeDecodeError) as error:
        raise ValueError("its header is malformed") from error
    at = 8 + length
    for tensor in sorted(tensors.values(), key=lambda tensor: (tensor.begin, tensor.end)):
        if tensor.begin != at:
            raise ValueError("its tensors have gaps or overlap")
        at = tensor.end
    if at != size:
        raise ValueError("it is truncated or too long")
    return tensors


def _tensor(name: str, content: Mapping[str, object], offset: int) -> Tensor:
    """One entry of the header; any exception says that it is malformed."""
    shape, span = content["shape"], content["data_offsets"]
    if not isinstance(shape, list) or not isinstance(span, list):
        raise TypeError(name)
    if any(type(n) is not int or n < 0 for n in (*shape, *span)):
        raise ValueError(f"{name} has no proper shape")
    dtype, (begin, end) = str(content["dtype"]), span
    if _DTYPE_BITS[dtype] * math.prod(shape) != (end - begin) * 8:
        raise ValueError(f"{name} has another size than its shape")
    return Tensor(dtype, tuple(shape), offset + begin, offset + end)


def find_not_finite(path: Path, tensors: Mapping[str, Tensor]) -> str | None:
    """The first tensor with a value that is infinite or no number; None where all are numbers.

    One such weight makes every answer noise, and what it leaves in the engine's cache stays there
    when the weights are long gone. Reads the whole file, a gigabyte in about a second.
    """
    if not any(tensor.end > tensor.begin for tensor in tensors.values()):
        return None
    content = np.memmap(path, dtype=np.uint8, mode="r")
    for name, tensor in tensors.items():
        if tensor.dtype not in _EXPONENTS:
            continue
        integer, exponent = _EXPONENTS[tensor.dtype]
        step = _BLOCK_VALUES * integer.itemsize
        mask = integer.type(exponent)
        for begin in range(tensor.begin, tensor.end, step):
            # A copy: a tensor may begin anywhere.
            block = content[begin : min(begin + step, tensor.end)].tobytes()
            if bool(((np.frombuffer(block, integer) & mask) == mask).any()):
                return name
    return None
