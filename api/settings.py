"""Everything that can be configured: `DOCLOOP_*` variables, a `.env` file, or these defaults."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

from dotenv import dotenv_values
from pydantic import AliasChoices, Field, SecretStr, field_validator
from pydantic.fields import FieldInfo
from pydantic_settings import NoDecode
from sqlalchemy import make_url

from db.retention_rules import parse_rules
from db.settings import ENV_FILE, PREFIX, StorageSettings

SHORTEST_KEY = 16
_ADAPTER_RANKS = frozenset({1, 8, 16, 32, 64, 128, 256, 320, 512})  # of vLLM 0.32
# Read by the command line and the benches as a client, and by the trainer; not by the service.
CLIENT_NAMES = frozenset(
    {
        "DOCLOOP_URL",
        "DOCLOOP_PROFILE",
        "DOCLOOP_ACCELERATE_FILE",
        "DOCLOOP_WORKER_METRICS_HOST",
        "DOCLOOP_WORKER_METRICS_PORT",
        "DOCLOOP_CHROMIUM",
        "DOCLOOP_SYNTH_ENDPOINT",
        "DOCLOOP_SYNTH_MODEL",
        "DOCLOOP_SYNTH_API_KEY",
    }
)
MASK = "********"


def half_of_the_cores() -> int:
    """Threads for the model; of those that this process may use, at least one.

    The other half reads lines meanwhile. With both of two cores for the model a receipt alone took
    2.2 s in place of 2.4, and eight at a time came at two thirds of the rate (`bench/speed.py`).
    """
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, (usable or 1) // 2)


class Settings(StorageSettings):
    """What is in force; `docloop config` prints it and where each value came from."""

    host: str = Field("127.0.0.1", description="Address that the API listens on.")
    port: int = Field(8000, ge=0, le=65535, description="Port that the API listens on.")
    api_key: SecretStr | None = Field(
        None,
        description="A key with all scopes, made at start where it is not there yet; "
        "none: one is generated at the first start. At least 16 characters.",
    )
    tenant: str = Field(
        "default", min_length=1, description="Tenant whom the first key belongs to."
    )

    model_dir: Path = Field(Path("build/model"), description="Folder of the served model.")
    model_version: str | None = Field(
        None, description="Name of the served version; none: the one in model_dir/docloop.json."
    )
    engine_urls: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Addresses of vLLM servers, separated by commas; none: one on this machine.",
    )
    engine_api_key: SecretStr | None = Field(
        None, description="Key of the vLLM servers in engine_urls."
    )
    engine_threads: int = Field(
        default_factory=half_of_the_cores,
        ge=1,
        description="Threads of the model on this machine; half of the cores, others read lines.",
    )
    engine_threads_bind: str = Field(
        "nobind", description='Cores of the model, as "0-1", "auto", or "nobind".'
    )
    engine_dtype: str = Field("auto", description="Number format of the model's weights.")
    engine_max_sequences: int = Field(
        16, ge=1, description="Answers that the engine generates at the same time."
    )
    kv_cache_bytes: int | None = Field(
        512 * 1024 * 1024,
        ge=1,
        description="Engine memory for prompts and answers under way.",
    )
    max_model_len: int | None = Field(
        None, ge=64, description="Context length in tokens; none: the model's own."
    )
    enforce_eager: bool = Field(
        default=True, description="No compilation: the first start takes seconds, not minutes."
    )
    engine_adapters: bool = Field(
        default=False,
        description="Take versions as adapters of one base model (GPU); off: as merged weights.",
    )
    engine_max_adapter_rank: int = Field(
        256, description="The highest rank of an adapter: 1, 8, 16, 32, 64, 128, 256, 320 or 512."
    )
    engine_draft_tokens: int | None = Field(
        None,
        ge=0,
        le=64,
        description="Tokens of an answer that are guessed ahead at most; none: 8 on a CPU, else 0.",
    )
    engine_arguments: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Further arguments of the vLLM server, separated by commas."
    )
    engine_start_timeout_seconds: float = Field(
        300.0, gt=0, description="An engine that is not ready by then is started again."
    )
    engine_patience_seconds: float = Field(
        45.0, ge=0, description="How long a request waits for an engine that comes back."
    )
    engine_request_timeout_seconds: float = Field(
        300.0, gt=0, description="How long one answer of the engine may take."
    )
    prompt_style: Literal["compact", "described"] | None = Field(
        None, description="How documents are put to the model; none: as docloop.json says."
    )
    model_sees: bool | None = Field(
        None, description="Whether page images go to the model; none: as docloop.json says."
    )

    champion_poll_seconds: float = Field(
        5.0,
        gt=0,
        description="How often the champion is looked up where the database's notice got lost.",
    )
    champion_retry_seconds: float = Field(
        60.0, gt=0, description="When a swap that failed for a passing reason is tried again."
    )
    shadow_queue_size: int = Field(
        8, ge=0, description="Answered documents that may wait for the shadow version."
    )

    max_prompt_characters: int = Field(
        9000, ge=100, description="Most characters of a document's lines in a prompt."
    )
    max_images: int = Field(
        1, ge=1, description="Most pages that a model that sees is shown at once."
    )

    ocr_enabled: bool = Field(
        default=True, description="Read text lines from pages; off for models that read themselves."
    )
    ocr_threads: int = Field(2, ge=1, description="Threads of one line reader.")
    ocr_slots: int = Field(1, ge=1, description="Pages whose lines are read at the same time.")

    max_upload_bytes: int = Field(
        20_000_000, ge=1024, description="Most bytes of a document; a key may have a lower limit."
    )
    max_body_bytes: int = Field(
        1_000_000, ge=1024, description="Most bytes of any other request body."
    )
    max_pixels: int = Field(64_000_000, ge=1, description="Most pixels of one page as sent.")
    max_pages: int = Field(32, ge=1, description="Most pages of a document.")

    queue_size: int = Field(64, ge=0, description="Requests that may wait; further ones get 429.")
    max_concurrency: int = Field(16, ge=1, description="Extractions at the same time.")
    max_held_bytes: int = Field(
        1_500_000_000,
        ge=1,
        description="Memory for files and decoded pages of all requests; further ones get 429.",
    )
    queue_wait_seconds: float = Field(
        60.0, gt=0, description="A request that waits longer for its turn gets 503."
    )
    wait_timeout_seconds: float = Field(
        300.0, gt=0, description="How long POST /extract waits before it answers 202."
    )
    job_concurrency: int = Field(
        4, ge=1, description="Extractions with wait=false at the same time."
    )
    rate_limit_per_minute: int = Field(
        3000,
        ge=0,
        description="Requests per key and minute, counted in this process; 0: no limit. "
        "A key may have its own.",
    )

    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="The least severe lines that are logged."
    )
    log_file: Path | None = Field(
        None,
        description="File for the log, rotated at 20 MB; none: data_dir/log/docloop.jsonl "
        "with `docloop serve`.",
    )
    log_stdout: bool = Field(
        default=False, description="Whether `docloop serve` writes the log to stdout as well."
    )
    retention: str = Field(
        "",
        description="How many days predictions are kept, as passport=30, acme/receipt=365, *=3650; "
        "none: for ever.",
    )
    otlp_endpoint: str | None = Field(
        None,
        description="Address of an OpenTelemetry collector, as http://collector:4318; "
        "none: no traces.",
    )
    otlp_sample_ratio: float = Field(
        1.0, ge=0, le=1, description="Share of the requests that are traced."
    )
    shutdown_seconds: float = Field(
        30.0, ge=0, description="How long requests under way may take to end when we stop."
    )

    @field_validator("engine_urls", "engine_arguments", mode="before")
    @classmethod
    def _split(cls, given: Any) -> Any:
        """Commas separate; JSON lists are not needed for this."""
        if isinstance(given, str):
            return tuple(part.strip() for part in given.split(",") if part.strip())
        return given

    @field_validator("engine_urls")
    @classmethod
    def _check_addresses(cls, addresses: tuple[str, ...]) -> tuple[str, ...]:
        if not all(address.startswith(("http://", "https://")) for address in addresses):
            raise ValueError("each address begins with http:// or https://")
        return addresses

    @field_validator("engine_max_adapter_rank")
    @classmethod
    def _check_rank(cls, rank: int) -> int:
        if rank not in _ADAPTER_RANKS:
            raise ValueError("the engine takes another rank: 1, 8, 16, 32, 64, 128, 256, 320, 512")
        return rank

    @field_validator("retention")
    @classmethod
    def _check_retention(cls, text: str) -> str:
        parse_rules(text)
        return text

    @field_validator("otlp_endpoint")
    @classmethod
    def _check_endpoint(cls, address: str | None) -> str | None:
        if address is not None and not address.startswith(("http://", "https://")):
            raise ValueError("an address begins with http:// or https://")
        return address

    @field_validator("api_key")
    @classmethod
    def _check_api_key(cls, key: SecretStr | None) -> SecretStr | None:
        if key is not None and len(key.get_secret_value()) < SHORTEST_KEY:
            raise ValueError(f"a key has at least {SHORTEST_KEY} characters")
        return key

    def secrets(self) -> tuple[str, ...]:
        """Every secret text in these settings, for the log's last defence."""
        found = [
            value.get_secret_value()
            for value in dict(self).values()
            if isinstance(value, SecretStr)
        ]
        if self.database_url is not None:
            password = make_url(self.database_url.get_secret_value()).password
            found += [password] if password else []
        return tuple(found)


class Origin(StrEnum):
    """Where a setting's value came from."""

    DEFAULT = "default"
    ENVIRONMENT = "environment"
    ENV_FILE = ".env file"
    GIVEN = "given in code"


@dataclass(frozen=True, slots=True)
class SettingRow:
    """One setting as it is in force; `value` is masked where it is a secret."""

    name: str
    variable: str
    value: str
    origin: Origin
    description: str


def explain(
    settings: Settings, environment: Mapping[str, str] | None = None, env_file: Path | None = None
) -> list[SettingRow]:
    """Every setting with its value, secrets masked, and where it came from.

    Args:
        settings: what is in force.
        environment: the process's own where None.
        env_file: the file that was read; `.env` here where None.
    """
    variables = _present(os.environ if environment is None else environment)
    file_variables = _present(dotenv_values(env_file or ENV_FILE))
    rows = []
    for name, field in Settings.model_fields.items():
        names = variable_names(name, field)
        from_environment = next((n for n in names if n in variables), None)
        from_file = next((n for n in names if n in file_variables), None)
        if from_environment:
            origin = Origin.ENVIRONMENT
        elif from_file:
            origin = Origin.ENV_FILE
        elif getattr(settings, name) == field.default:
            origin = Origin.DEFAULT
        else:
            origin = Origin.GIVEN
        rows.append(
            SettingRow(
                name=name,
                variable=from_environment or from_file or names[0],
                value=_masked(getattr(settings, name)),
                origin=origin,
                description=field.description or "",
            )
        )
    return rows


def unknown_variables(
    environment: Mapping[str, str] | None = None, env_file: Path | None = None
) -> tuple[str, ...]:
    """`DOCLOOP_*` variables that mean nothing, as a mistyped one."""
    present = _present(os.environ if environment is None else environment) | _present(
        dotenv_values(env_file or ENV_FILE)
    )
    known = {
        n for name, field in Settings.model_fields.items() for n in variable_names(name, field)
    }
    ours = {name for name in present if name.startswith(PREFIX)}
    return tuple(sorted(ours - known - CLIENT_NAMES))


def variable_names(name: str, field: FieldInfo) -> tuple[str, ...]:
    """The variables that set a field, first one first."""
    if isinstance(field.validation_alias, AliasChoices):
        return tuple(str(choice) for choice in field.validation_alias.choices)
    return (f"{PREFIX}{name.upper()}",)


def _present(variables: Mapping[str, str | None]) -> set[str]:
    """Names that are set to something, upper case, as pydantic-settings compares them."""
    return {name.upper() for name, value in variables.items() if value}


def _masked(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, SecretStr):
        return _mask_secret(value.get_secret_value())
    if isinstance(value, tuple):
        return ", ".join(str(item) for item in value)
    return str(value)


def _mask_secret(secret: str) -> str:
    """An address keeps all but its password; anything else shows nothing, not even its length."""
    if "://" in secret:
        return make_url(secret).render_as_string(hide_password=True)
    return MASK
