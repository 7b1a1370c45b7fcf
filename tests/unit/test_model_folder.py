import hashlib
import json
import os
import pickle
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from extraction.model_folder import BadModelFolder, differences, open_model_folder

VERSION = "small-0123456789ab"
TENSORS = {"a.weight": (2, 3), "b.weight": (4,)}


def weights(tensors: Mapping[str, tuple[int, ...]], *, dtype: str = "F32", value: int = 1) -> bytes:
    """A safetensors file of small integers."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    content = b""
    for name, shape in tensors.items():
        count = 1
        for n in shape:
            count *= n
        one = value.to_bytes(4 if dtype == "F32" else 2, "little")
        header[name] = {
            "dtype": dtype,
            "shape": list(shape),
            "data_offsets": [len(content), len(content) + count * len(one)],
        }
        content += one * count
    return packed(header, content)


def packed(header: Any, content: bytes) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + content


def write_json(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def seal(folder: Path, **more: Any) -> Path:
    """The card with the hash of every file, as a cycle writes it."""
    files = {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "docloop.json"
    }
    card = {"version": VERSION, "base": "base-1", "form": "merged", "parent": "old-1", "run": "r"}
    write_json(folder / "docloop.json", {**card, "files": files, **more})
    return folder


@pytest.fixture
def merged(tmp_path: Path) -> Path:
    folder = tmp_path / VERSION
    write_json(folder / "config.json", {"architectures": ["Llama"], "hidden_size": 4})
    write_json(folder / "tokenizer.json", {"model": {"vocab": {"auto_map": 1}}})
    write_json(folder / "tokenizer_config.json", {"eos_token": "</s>"})
    (folder / "model.safetensors").write_bytes(weights(TENSORS))
    return seal(folder)


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    folder = tmp_path / VERSION
    config = {"peft_type": "LORA", "r": 4, "use_dora": False, "modules_to_save": None}
    write_json(folder / "adapter" / "adapter_config.json", config)
    lora = {"base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight": (4, 8)}
    (folder / "adapter" / "adapter_model.safetensors").write_bytes(weights(lora))
    return seal(folder, form="adapter")


def test_a_merged_version(merged: Path) -> None:
    model = open_model_folder(merged, expected=VERSION, require_hashes=True)
    assert (model.version, model.form, model.parent) == (VERSION, "merged", "old-1")
    assert model.base == "base-1"
    assert model.weights == model.folder == merged.resolve()
    assert model.traits.version == VERSION


def test_an_adapter_version(adapter: Path) -> None:
    model = open_model_folder(adapter, require_hashes=True)
    assert (model.form, model.base) == ("adapter", "base-1")
    assert model.weights == adapter.resolve() / "adapter"


def test_a_merged_version_may_carry_its_adapter(merged: Path, tmp_path: Path) -> None:
    lora = weights({"x.lora_A.weight": (2, 2)})
    write_json(merged / "adapter" / "adapter_config.json", {"r": 2})
    (merged / "adapter" / "adapter_model.safetensors").write_bytes(lora)
    assert open_model_folder(seal(merged), require_hashes=True).form == "merged"
    (merged / "adapter" / "adapter_model.safetensors").write_bytes(lora[:-1])
    with pytest.raises(BadModelFolder, match="adapter_model"):
        open_model_folder(seal(merged))


def test_an_operators_folder_needs_no_hashes(merged: Path) -> None:
    write_json(merged / "docloop.json", {"version": "mine", "base": "b"})
    assert open_model_folder(merged).parent is None
    with pytest.raises(BadModelFolder, match="lists no files"):
        open_model_folder(merged, require_hashes=True)


def test_another_name_is_refused(merged: Path) -> None:
    with pytest.raises(BadModelFolder, match="another version") as caught:
        open_model_folder(merged, expected="other-1")
    assert caught.value.version == "other-1"


def no_card(folder: Path) -> None:
    (folder / "docloop.json").unlink()


def half_a_card(folder: Path) -> None:
    (folder / "docloop.json").write_text('{"version": "x"')


def a_card_that_is_a_list(folder: Path) -> None:
    (folder / "docloop.json").write_text("[]")


def a_card_without_version(folder: Path) -> None:
    seal(folder, version="")


def an_unknown_style(folder: Path) -> None:
    seal(folder, style="loud")


def an_unknown_form(folder: Path) -> None:
    seal(folder, form="gguf")


def one_bit_flipped(folder: Path) -> None:
    path = folder / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def a_file_gone(folder: Path) -> None:
    (folder / "tokenizer_config.json").unlink()


def a_file_more(folder: Path) -> None:
    write_json(folder / "generation_config.json", {"temperature": 9})


def no_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    seal(folder)


def no_config(folder: Path) -> None:
    (folder / "config.json").unlink()
    seal(folder)


def no_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    seal(folder)


def a_pickle_beside(folder: Path) -> None:
    (folder / "training_args.bin").write_bytes(b"x")
    seal(folder)


def a_pickle_deeper(folder: Path) -> None:
    (folder / "more").mkdir()
    (folder / "more" / "OPTIMIZER.PT").write_bytes(b"x")
    seal(folder)


def a_pickle_under_another_name(folder: Path) -> None:
    (folder / "vocab.txt").write_bytes(pickle.dumps({"a": 1}))
    seal(folder)


def a_pickle_as_safetensors(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(pickle.dumps(list(range(999))))
    seal(folder)


def code_beside(folder: Path) -> None:
    (folder / "modeling_llama.py").write_text("print(1)")
    seal(folder)


def an_auto_map(folder: Path) -> None:
    config = {"architectures": ["Llama"], "text_config": {"auto_map": {"AutoModel": "m.M"}}}
    write_json(folder / "config.json", config)
    seal(folder)


def an_auto_map_of_the_tokenizer(folder: Path) -> None:
    write_json(folder / "tokenizer_config.json", {"auto_map": {"AutoTokenizer": ["t.T", None]}})
    seal(folder)


def a_link_out(folder: Path) -> None:
    outside = folder.parent / "elsewhere.safetensors"
    shutil.move(folder / "model.safetensors", outside)
    (folder / "model.safetensors").symlink_to(outside)


def a_linked_folder(folder: Path) -> None:
    (folder.parent / "other").mkdir()
    (folder / "sub").symlink_to(folder.parent / "other")


def a_pipe(folder: Path) -> None:
    os.mkfifo(folder / "model-2.safetensors")


def not_a_number(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(weights(TENSORS, value=0x7FC00000))
    seal(folder)


def infinite_in_bf16(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(weights(TENSORS, dtype="BF16", value=0xFF80))
    seal(folder)


def a_tensor_twice(folder: Path) -> None:
    (folder / "model-2.safetensors").write_bytes(weights({"a.weight": (1,)}))
    seal(folder)


def an_index_of_something_else(folder: Path) -> None:
    index = {"weight_map": {"a.weight": "model.safetensors"}}
    write_json(folder / "model.safetensors.index.json", index)
    seal(folder)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (no_card, "no docloop.json"),
        (half_a_card, "docloop.json is damaged"),
        (a_card_that_is_a_list, "no JSON object"),
        (a_card_without_version, "names no version"),
        (an_unknown_style, "docloop.json is damaged"),
        (an_unknown_form, "form"),
        (one_bit_flipped, "model.safetensors is not what"),
        (a_file_gone, "tokenizer_config.json is missing"),
        (a_file_more, "generation_config.json is not listed"),
        (no_weights, "no weights"),
        (no_config, "no config.json"),
        (no_tokenizer, "no tokenizer"),
        (a_pickle_beside, "training_args.bin"),
        (a_pickle_deeper, "OPTIMIZER.PT"),
        (a_pickle_under_another_name, "vocab.txt holds a pickle"),
        (a_pickle_as_safetensors, "no safetensors file"),
        (code_beside, "modeling_llama.py"),
        (an_auto_map, "config.json names code"),
        (an_auto_map_of_the_tokenizer, "tokenizer_config.json names code"),
        (a_link_out, "link out of"),
        (a_linked_folder, "link out of"),
        (a_pipe, "neither a file"),
        (not_a_number, "a.weight holds values that are no numbers"),
        (infinite_in_bf16, "no numbers"),
        (a_tensor_twice, "a.weight is there twice"),
        (an_index_of_something_else, "do not agree"),
    ],
)
def test_a_spoiled_version_is_refused(
    merged: Path, spoil: Callable[[Path], None], words: str
) -> None:
    open_model_folder(merged)
    spoil(merged)
    with pytest.raises(BadModelFolder) as caught:
        open_model_folder(merged)
    assert words in caught.value.reason


GOOD = {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "empty"),
        (b"\x02\0\0", "shorter than the length of its header"),
        ((2**40).to_bytes(8, "little") + b"{}", "a header longer than the file"),
        (packed(GOOD, b"1234567"), "truncated"),
        (packed(GOOD, b"123456789"), "something behind the tensors"),
        (packed(b"{]", b""), "no JSON"),
        (packed(b"\xff\xfe", b""), "no UTF-8"),
        (packed([], b""), "no object"),
        (packed({"a": 1}, b""), "a tensor that is none"),
        (packed({"a": {"dtype": "F32"}}, b""), "a tensor without a shape"),
        (packed({"a": GOOD["a"] | {"dtype": "Q4"}}, b"12345678"), "an unknown dtype"),
        (packed({"a": GOOD["a"] | {"shape": [3]}}, b"12345678"), "shape and bytes differ"),
        (packed({"a": GOOD["a"] | {"shape": [-2]}}, b"12345678"), "a negative dimension"),
        (packed({"a": GOOD["a"] | {"shape": [True, 2]}}, b"12345678"), "a dimension that is none"),
        (packed({"a": GOOD["a"] | {"data_offsets": [8, 16]}}, b"1" * 16), "a gap"),
        (packed({**GOOD, "b": GOOD["a"]}, b"12345678"), "two tensors in one place"),
    ],
)
def test_malformed_safetensors(merged: Path, content: bytes, why: str) -> None:
    (merged / "model.safetensors").write_bytes(content)
    with pytest.raises(BadModelFolder, match="no safetensors file"):
        open_model_folder(seal(merged))
    assert why


@pytest.mark.parametrize(
    ("config", "card", "words"),
    [
        ({}, {"base": ""}, "does not name its base"),
        ({"use_dora": True}, {}, "DoRA"),
        ({"modules_to_save": ["lm_head"]}, {}, "modules_to_save"),
        ({"peft_type": "IA3"}, {}, "no LoRA"),
        ({"r": None}, {}, "no rank"),
        ({"auto_map": {"x": "y"}}, {}, "auto_map"),
    ],
)
def test_an_adapter_that_no_engine_serves(
    adapter: Path, config: dict[str, Any], card: dict[str, Any], words: str
) -> None:
    path = adapter / "adapter" / "adapter_config.json"
    write_json(path, json.loads(path.read_text()) | config)
    with pytest.raises(BadModelFolder, match=words):
        open_model_folder(seal(adapter, **({"form": "adapter"} | card)))


def test_an_adapter_of_the_eyes_is_refused(adapter: Path) -> None:
    lora = {"base_model.model.model.vision_tower.layers.0.q_proj.lora_A.weight": (4, 8)}
    (adapter / "adapter" / "adapter_model.safetensors").write_bytes(weights(lora))
    with pytest.raises(BadModelFolder, match="leave out"):
        open_model_folder(seal(adapter, form="adapter"))


def test_an_adapter_without_weights(adapter: Path) -> None:
    (adapter / "adapter" / "adapter_model.safetensors").unlink()
    with pytest.raises(BadModelFolder, match="no weights"):
        open_model_folder(seal(adapter, form="adapter"))


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(BadModelFolder, match="no such folder"):
        open_model_folder(tmp_path / "none", expected=VERSION)


def test_the_same_shape_has_no_differences(merged: Path, tmp_path: Path) -> None:
    other = shutil.copytree(merged, tmp_path / "other")
    (other / "model.safetensors").write_bytes(weights(TENSORS, value=2))
    config = {"hidden_size": 4, "architectures": ["Llama"], "transformers_version": "9"}
    (other / "config.json").write_text(json.dumps(config, indent=4))
    assert differences(merged, other) == []


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("config.json", {"architectures": ["Qwen"], "hidden_size": 4}, "config.json differs"),
        ("tokenizer.json", {"model": {"vocab": {}}}, "tokenizer.json differs"),
        ("tokenizer_config.json", {"eos_token": "<|end|>"}, "tokenizer_config.json differs"),
        ("preprocessor_config.json", {"size": 1}, "preprocessor_config.json differs"),
        ("model.safetensors", weights({"a.weight": (2, 3)}), "missing, as b.weight"),
        ("model.safetensors", weights({**TENSORS, "c.weight": (1,)}), "new, as c.weight"),
        ("model.safetensors", weights({**TENSORS, "b.weight": (5,)}), r"b.weight is F32\[5\]"),
        ("model.safetensors", weights(TENSORS, dtype="BF16"), "a.weight is BF16"),
    ],
)
def test_what_no_reload_can_bridge(
    merged: Path, tmp_path: Path, name: str, content: Any, words: str
) -> None:
    other = shutil.copytree(merged, tmp_path / "other")
    if isinstance(content, bytes):
        (other / name).write_bytes(content)
    else:
        write_json(other / name, content)
    assert re.search(words, "; ".join(differences(merged, other)))
