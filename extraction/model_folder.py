"""A version's folder, opened with suspicion: what is in it decides what the engine executes.

A folder is refused before any engine sees it. A pickle is a program, `auto_map` names one, a link
leads out of what was hashed, and a truncated checkpoint kills a running engine. Weights are only
looked at, never loaded (`weight_file.py`).
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal, NoReturn, TypeAlias

from extraction.errors import DocloopError
from extraction.traits import CARD, ModelTraits
from extraction.weight_file import find_not_finite, read_header

Form: TypeAlias = Literal["merged", "adapter"]
"""What an engine is given: a whole checkpoint, or an adapter for a base model it has."""

ADAPTER = "adapter"
_ADAPTER_CONFIG = "adapter_config.json"
_ADAPTER_WEIGHTS = "adapter_model.safetensors"
_PROGRAMS = {
    *(".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib", ".dill", ".npy", ".npz"),
    *(".py", ".pyc", ".so", ".pyd"),
}
_WEIGHTS = ".safetensors"
_ZIP = b"PK"  # torch.save since 1.6
_PICKLE = b"\x80"
_PICKLE_PROTOCOLS = range(2, 6)
# The parts of a model whose adapter vLLM leaves out without a word.
_UNSERVED_PARTS = ("vision", "visual", "connector", "projector")
# What says nothing about the model itself.
_VOLATILE = {"transformers_version", "_name_or_path", "name_or_path"}
_TOKENIZER_FILES = (
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    *("vocab.json", "merges.txt", "tokenizer.model", "chat_template.jinja", "chat_template.json"),
    *("preprocessor_config.json", "processor_config.json"),
)


class BadModelFolder(DocloopError):
    """A model folder that must not be served.

    Args:
        version: the expected name, or that of the folder.
        reason: what is wrong with it.
    """

    slug = "bad-model-folder"

    def __init__(self, version: str, reason: str) -> None:
        self.version, self.reason = version, reason
        super().__init__(f"The version {version} cannot be served: {reason}.")


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A folder that can be served.

    Args:
        version: its immutable name.
        folder: where it is.
        form: what an engine gets from it.
        traits: how its model is asked.
        parent: the version that it was trained from; None where nothing says so.
        base: the base model. An adapter fits the engine whose base model has this version name.
    """

    version: str
    folder: Path
    form: Form
    traits: ModelTraits
    parent: str | None = None
    base: str = ""

    @property
    def weights(self) -> Path:
        """The folder that an engine loads."""
        return self.folder / ADAPTER if self.form == ADAPTER else self.folder


def open_model_folder(
    folder: Path, *, expected: str | None = None, require_hashes: bool = False
) -> ModelFolder:
    """Looks at all of a folder; blocks, for it reads every file that has a hash.

    Args:
        folder: a version's, or the operator's model folder.
        expected: the version that it must be; None takes what it says.
        require_hashes: whether each file must be listed in `docloop.json` with its SHA-256, as in
            every version that a cycle made. Hashes that are there are checked in any case.

    Raises:
        BadModelFolder: it is refused; the reason says why.
    """
    look = _Look(folder, expected or folder.name)
    card = look.card()
    version = str(card["version"])
    if expected is not None and version != expected:
        look.refuse(f"its {CARD} names another version, {version}")
    files = look.files()
    look.hashes(card, files, require=require_hashes)
    look.no_programs(files)
    base = str(card.get("base") or "")
    form: Form
    match card.get("form", "merged"):
        case "merged":
            form = "merged"
            look.merged()
        case "adapter":
            form = "adapter"
            look.adapter(base)
        case _:
            look.refuse("its form is neither merged nor adapter")
    for name in files:
        if name.endswith(_WEIGHTS):
            look.numbers(folder / name)
    try:
        traits = ModelTraits.load(folder)
    except (ValueError, TypeError, OSError) as error:
        look.refuse(f"its {CARD} is damaged ({type(error).__name__})", error)
    parent = card.get("parent")
    return ModelFolder(
        version=version,
        folder=folder.resolve(),
        form=form,
        traits=traits or ModelTraits(version=version),
        parent=None if parent is None else str(parent),
        base=base,
    )


def differences(running: Path, new: Path) -> list[str]:
    """Why the weights of `new` cannot be loaded into an engine that runs `running`.

    vLLM reloads a checkpoint that lacks tensors without an error, and serves a hybrid.

    Returns:
        One reason for each difference in tensor names, shapes, dtypes, configuration and tokenizer;
        empty when the weights can be reloaded in place.

    Raises:
        BadModelFolder: one of them cannot be read.
    """
    old_look, new_look = _Look(running, running.name), _Look(new, new.name)
    found = [
        f"{name} differs"
        for name in ("config.json", *_TOKENIZER_FILES)
        if _differ(running / name, new / name)
    ]
    old, changed = old_look.all_tensors(), new_look.all_tensors()
    if missing := sorted(old.keys() - changed.keys()):
        found.append(f"{len(missing)} tensors are missing, as {missing[0]}")
    if added := sorted(changed.keys() - old.keys()):
        found.append(f"{len(added)} tensors are new, as {added[0]}")
    found += [
        f"{name} is {changed[name]} and not {old[name]}"
        for name in sorted(old.keys() & changed.keys())
        if old[name] != changed[name]
    ]
    return found


class _Look:
    """One folder under inspection."""

    def __init__(self, folder: Path, version: str) -> None:
        self.folder, self.version = folder, version

    def refuse(self, reason: str, cause: BaseException | None = None) -> NoReturn:
        """Ends the inspection."""
        raise BadModelFolder(self.version, reason) from cause

    def json_object(self, name: str) -> dict[str, Any]:
        """A file that must be a JSON object."""
        path = self.folder / name
        try:
            content = json.loads(path.read_bytes())
        except FileNotFoundError as error:
            self.refuse(f"it has no {name}", error)
        except (OSError, ValueError, RecursionError) as error:
            self.refuse(f"its {name} is damaged ({type(error).__name__})", error)
        if not isinstance(content, dict):
            self.refuse(f"its {name} is no JSON object")
        return content

    def card(self) -> dict[str, Any]:
        """What the folder says about itself."""
        if not self.folder.is_dir():
            self.refuse("there is no such folder")
        card = self.json_object(CARD)
        if not isinstance(card.get("version"), str) or not card["version"]:
            self.refuse(f"its {CARD} names no version")
        return card

    def files(self) -> list[str]:
        """Names of all files, relative; no link may lead out of the folder."""
        root, names = self.folder.resolve(), []
        for path in sorted(self.folder.rglob("*")):
            name = path.relative_to(self.folder).as_posix()
            if path.is_symlink() and not path.resolve().is_relative_to(root):
                self.refuse(f"{name} is a link out of the folder")
            if path.is_file():
                names.append(name)
            elif not path.is_dir():
                self.refuse(f"{name} is neither a file nor a folder")
        return names

    def hashes(self, card: Mapping[str, Any], files: list[str], *, require: bool) -> None:
        """Each listed file is there and as it was; where required, each file is listed."""
        listed = card.get("files")
        if listed is None and not require:
            return
        if not isinstance(listed, dict) or not listed:
            self.refuse(f"its {CARD} lists no files with their hashes")
        names = {PurePosixPath(name).as_posix(): str(value) for name, value in listed.items()}
        if unlisted := sorted(set(files) - names.keys() - {CARD}):
            self.refuse(f"{unlisted[0]} is not listed in its {CARD}")
        for name, sha256 in names.items():
            if name not in files:
                self.refuse(f"{name} is missing")
            if file_sha256(self.folder / name) != sha256:
                self.refuse(f"{name} is not what its {CARD} says (SHA-256)")

    def no_programs(self, files: list[str]) -> None:
        """Nothing that executes when it is loaded, by name or by content."""
        for name in files:
            path = self.folder / name
            if path.suffix.lower() in _PROGRAMS:
                self.refuse(f"{name} may hold a program; weights come as safetensors")
            if path.suffix.lower() != _WEIGHTS and _looks_pickled(path):
                self.refuse(f"{name} holds a pickle or an archive")
            if path.suffix == ".json" and "config" in path.name:
                content = self.json_object(name)
                if _has_key(content, "auto_map"):
                    self.refuse(f"{name} names code to run (auto_map)")

    def merged(self) -> None:
        """A checkpoint with everything that an engine needs."""
        config = self.json_object("config.json")
        if not config.get("architectures"):
            self.refuse("its config.json names no architecture")
        if not (self.folder / "tokenizer.json").is_file() and not any(
            (self.folder / name).is_file() for name in ("tokenizer.model", "vocab.json")
        ):
            self.refuse("it has no tokenizer")
        self.all_tensors()

    def adapter(self, base: str) -> None:
        """A LoRA that an engine can serve as it was trained."""
        if not base:
            self.refuse("it is an adapter and does not name its base model")
        config = self.json_object(f"{ADAPTER}/{_ADAPTER_CONFIG}")
        if config.get("peft_type", "LORA") != "LORA":
            self.refuse("its adapter is no LoRA")
        if config.get("use_dora"):
            self.refuse("its adapter is a DoRA, which no engine serves")
        if config.get("modules_to_save"):
            self.refuse("its adapter replaces whole modules (modules_to_save)")
        rank = config.get("r")
        if not isinstance(rank, int) or rank < 1:
            self.refuse("its adapter has no rank")
        weights = self.folder / ADAPTER / _ADAPTER_WEIGHTS
        if not weights.is_file():
            self.refuse("its adapter has no weights")
        for name in self.tensors(weights):
            if any(part in name for part in _UNSERVED_PARTS):
                self.refuse(f"its adapter changes {name}, which the engine would leave out")

    def all_tensors(self) -> dict[str, str]:
        """Name -> dtype and shape, over all weight files of a checkpoint."""
        paths = sorted(self.folder.glob(f"*{_WEIGHTS}"))
        if not paths:
            self.refuse("it has no weights")
        tensors: dict[str, str] = {}
        for path in paths:
            for name, kind in self.tensors(path).items():
                if name in tensors:
                    self.refuse(f"{name} is there twice")
                tensors[name] = kind
        index = self.folder / f"model{_WEIGHTS}.index.json"
        if index.is_file():
            listed = self.json_object(index.name).get("weight_map")
            if not isinstance(listed, dict) or listed.keys() != tensors.keys():
                self.refuse(f"{index.name} and the weights do not agree")
        return tensors

    def tensors(self, path: Path) -> dict[str, str]:
        """Name -> dtype and shape, from one file's header."""
        try:
            return {name: tensor.kind for name, tensor in read_header(path).items()}
        except (OSError, ValueError) as error:
            self.refuse(f"{path.name} is no safetensors file: {error}", error)

    def numbers(self, path: Path) -> None:
        """Every weight is a number."""
        self.tensors(path)
        try:
            name = find_not_finite(path, read_header(path))
        except (OSError, ValueError) as error:
            self.refuse(f"{path.name} changed while it was read", error)
        if name is not None:
            self.refuse(f"{name} holds values that are no numbers")


def _differ(one: Path, other: Path) -> bool:
    """Whether two files differ; JSON in what it means, and a missing file from any other."""
    if not (one.is_file() and other.is_file()):
        return one.is_file() or other.is_file()
    contents = one.read_bytes(), other.read_bytes()
    # Equal bytes need no parsing, which for a large vocabulary would hold up other threads.
    return contents[0] != contents[1] and (
        one.suffix != ".json" or _meaning(contents[0]) != _meaning(contents[1])
    )


def _meaning(content: bytes) -> object:
    """JSON without what says nothing about the model."""
    try:
        value = json.loads(content)
    except ValueError:
        return content
    if isinstance(value, dict):
        return {key: value[key] for key in value.keys() - _VOLATILE}
    return value


def _has_key(value: object, key: str) -> bool:
    if isinstance(value, dict):
        return key in value or any(_has_key(inner, key) for inner in value.values())
    if isinstance(value, list):
        return any(_has_key(inner, key) for inner in value)
    return False


def _looks_pickled(path: Path) -> bool:
    """Whether a file begins as a pickle of protocol 2 to 5, or as a zip (what torch saves)."""
    with path.open("rb") as file:
        begin = file.read(2)
    is_pickle = begin[:1] == _PICKLE and len(begin) > 1 and begin[1] in _PICKLE_PROTOCOLS
    return is_pickle or begin == _ZIP


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's content in hexadecimal, as a card's "files" has it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
