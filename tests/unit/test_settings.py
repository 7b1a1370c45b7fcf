import base64
from pathlib import Path

import pytest
from pydantic import ValidationError

from api.settings import MASK, Origin, Settings, explain, unknown_variables, variable_names
from db.settings import StorageSettings
from trainer.settings import TrainerSettings

KEY = "dl_planted-key-0123456789"


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No variable and no .env of the machine that runs the test."""
    import os

    for name in list(os.environ):
        if name.startswith("DOCLOOP_") or name == "DATABASE_URL":
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def row(settings: Settings, name: str) -> tuple[str, Origin]:
    found = next(row for row in explain(settings) if row.name == name)
    return found.value, found.origin


def test_every_field_is_described() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_origin_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("DOCLOOP_PORT=9001\nDOCLOOP_HOST=10.0.0.1\n")
    monkeypatch.setenv("DOCLOOP_PORT", "9002")
    settings = Settings(queue_size=3)
    assert settings.port == 9002
    assert row(settings, "port") == ("9002", Origin.ENVIRONMENT)
    assert row(settings, "host") == ("10.0.0.1", Origin.ENV_FILE)
    assert row(settings, "queue_size") == ("3", Origin.GIVEN)
    assert row(settings, "max_pages") == ("32", Origin.DEFAULT)


@pytest.mark.parametrize("variable", ["DATABASE_URL", "DOCLOOP_DATABASE_URL"])
def test_database_url_with_and_without_prefix(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "postgresql://user:planted@host/name")
    settings = Settings()
    assert settings.database_url is not None
    assert row(settings, "database_url") == (
        "postgresql://user:***@host/name",
        Origin.ENVIRONMENT,
    )


def test_secrets_are_shown_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCLOOP_API_KEY", KEY)
    monkeypatch.setenv("DATABASE_URL", "postgresql://user:planted@host/name")
    settings = Settings()
    shown = f"{settings!r} {settings!s} {explain(settings)}"
    assert KEY not in shown
    assert "planted" not in shown
    assert row(settings, "api_key")[0] == MASK
    assert {KEY, "planted"} <= set(settings.secrets())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("api_key", "too-short"),
        ("blob_key", "bm90IDMyIGJ5dGVz"),
        ("blob_key", "*** no base64 ***"),
        ("database_url", "mysql://user:hidden@host/name"),
        ("database_url", "hidden"),
        ("engine_urls", "localhost:8000"),
        ("port", "hidden"),
    ],
)
def test_a_fault_is_named_and_its_value_is_not_quoted(name: str, value: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Settings.model_validate({name: value})
    assert name in str(caught.value)
    assert value not in str(caught.value)


def test_blob_key_is_decoded() -> None:
    key = bytes(range(32))
    settings = Settings.model_validate({"blob_key": base64.b64encode(key).decode()})
    assert settings.blob_key_bytes == key


def test_addresses_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCLOOP_ENGINE_URLS", "http://one:8000, http://two:8000,")
    assert Settings().engine_urls == ("http://one:8000", "http://two:8000")


def test_an_empty_variable_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCLOOP_PORT", "")
    assert Settings().port == 8000


def test_a_mistyped_variable_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCLOOP_QUEUE_SISE", "3")
    monkeypatch.setenv("DOCLOOP_URL", "http://127.0.0.1:8000")
    assert unknown_variables() == ("DOCLOOP_QUEUE_SISE",)


def test_what_the_trainer_reads_is_not_mistyped(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, field in TrainerSettings.model_fields.items():
        monkeypatch.setenv(variable_names(name, field)[0], "1")
    assert unknown_variables() == ()


def test_service_and_trainer_meet_in_the_same_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCLOOP_DATA_DIR", "elsewhere")
    monkeypatch.setenv("DATABASE_URL", "postgresql://user:planted@host/name")
    service, trainer = Settings(), TrainerSettings()
    for name in (*StorageSettings.model_fields, "model_dir"):
        assert getattr(service, name) == getattr(trainer, name)
        assert Settings.model_fields[name].default == TrainerSettings.model_fields[name].default


def test_a_rank_that_no_engine_takes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCLOOP_ENGINE_MAX_ADAPTER_RANK", "32")
    assert Settings().engine_max_adapter_rank == 32
    for name, fault in (
        ("engine_max_adapter_rank", 33),
        ("champion_poll_seconds", 0),
        ("champion_retry_seconds", 0),
        ("shadow_queue_size", -1),
    ):
        with pytest.raises(ValidationError):
            Settings.model_validate({name: fault})


def test_the_model_takes_half_of_the_cores_that_it_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    for usable, threads in ((1, 1), (2, 1), (3, 1), (16, 8)):
        cores = set(range(usable))
        monkeypatch.setattr("os.sched_getaffinity", lambda _, cores=cores: cores, raising=False)
        assert Settings().engine_threads == threads
