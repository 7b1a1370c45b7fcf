import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from trainer.profile import InvalidProfile, Profile, load_profile

SHIPPED = ("small", "production")
ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "trainer" / "profiles" / "small.toml").read_text()


def keys_of(kind: type[BaseModel], before: str = "") -> list[str]:
    """Every key of a profile, as "grpo.steps"."""
    keys: list[str] = []
    for name, field in kind.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            keys += keys_of(inner, f"{before}{name}.")
        else:
            keys.append(f"{before}{name}")
    return keys


def faults(path: Path, text: str) -> dict[str, str]:
    file = path / "own.toml"
    file.write_text(text)
    with pytest.raises(InvalidProfile) as raised:
        load_profile(str(file))
    return raised.value.faults


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_profiles_are_valid(name: str) -> None:
    assert load_profile(name).name == name


def test_a_stored_profile_is_read_back() -> None:
    profile = load_profile("production")
    assert Profile.model_validate(profile.model_dump(mode="json")) == profile


def test_olmocr_2_and_the_receipts_seed_stand_in_production() -> None:
    profile = load_profile("production")
    grpo, adapter = profile.grpo, profile.adapter
    assert (grpo.token_level_runs, grpo.sequence_level_runs, grpo.generation_count) == (3, 3, 28)
    assert (adapter.quantisation, adapter.rank, adapter.alpha) == ("nf4", 128, 256)
    assert grpo.rollout_engine == "vllm"


def test_an_unknown_key_is_an_error(tmp_path: Path) -> None:
    found = faults(tmp_path, TEXT.replace("[sft]", "[sft]\nlearnin_rate = 1.0"))
    assert found == {"sft.learnin_rate": "is no key of a profile"}


@pytest.mark.parametrize("key", keys_of(Profile))
def test_a_missing_key_is_an_error(key: str, tmp_path: Path) -> None:
    section, _, name = key.rpartition(".")
    head, mark, body = TEXT.partition(f"[{section}]\n") if section else ("", "", TEXT)
    text = head + mark + re.sub(rf"^{name} = .*\n", "", body, count=1, flags=re.MULTILINE)
    assert text != TEXT
    assert faults(tmp_path, text) == {key: "field required"}


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ("replay_ratio = 1.5", "data.replay_ratio"),
        ("generation_count = 1", "grpo.generation_count"),
        ("quantisation = 'int3'", "adapter.quantisation"),
        ("confidence = 0.4", "gate.confidence"),
        ("poll_seconds = 0", "schedule.poll_seconds"),
        ("niceness = -5", "niceness"),
    ],
)
def test_an_impossible_value_names_its_key(line: str, key: str, tmp_path: Path) -> None:
    name = line.split(" = ", maxsplit=1)[0]
    section = key.rpartition(".")[0]
    head, mark, body = TEXT.partition(f"[{section}]\n") if section else ("", "", TEXT)
    text = head + mark + re.sub(rf"^{name} = .*$", line, body, count=1, flags=re.MULTILINE)
    assert list(faults(tmp_path, text)) == [key]


def test_no_toml_and_no_file(tmp_path: Path) -> None:
    assert list(faults(tmp_path, "seed = = 1")) == ["TOML"]
    with pytest.raises(InvalidProfile, match="name small, production or a TOML file"):
        load_profile(str(tmp_path / "absent.toml"))
    with pytest.raises(InvalidProfile):
        load_profile("smal")


def test_every_key_is_explained_in_the_guide() -> None:
    guide = (ROOT / "docs" / "training.md").read_text()
    explained = re.findall(r"^\| `([a-z_.]+)` \|", guide, flags=re.MULTILINE)
    assert explained == keys_of(Profile)


@pytest.mark.parametrize("name", SHIPPED)
def test_the_guide_shows_the_shipped_values(name: str) -> None:
    guide = (ROOT / "docs" / "training.md").read_text()
    rows = re.findall(r"^\| `([a-z_.]+)` \| ([^|]*) \| ([^|]*) \|", guide, flags=re.MULTILINE)
    values = load_profile(name).model_dump(mode="json")
    for key, *shown in rows:
        value = values
        for part in key.split("."):
            value = value[part]
        assert shown[SHIPPED.index(name)].strip() == f"{value}", key


@pytest.mark.parametrize(
    ("completions", "tokens", "prompts", "together"),
    [(4, 160, 2, 2), (8, 280, 4, 1), (4, 100, 6, 3), (4, 128, 5, 1), (28, 2048, 4, 1)],
)
def test_what_goes_through_the_model_together_keeps_steps_whole(
    completions: int, tokens: int, prompts: int, together: int
) -> None:
    section = load_profile("small").grpo.model_copy(
        update={
            "generation_count": completions,
            "most_completion_tokens": tokens,
            "prompts_per_step": prompts,
        }
    )
    assert section.groups_together == together
