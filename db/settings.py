"""Where things are kept: the settings that the service and the trainer share.

`api.settings` and `trainer.settings` add their own. Values come from `DOCLOOP_*` variables, then
from a `.env` file, then from these defaults.
"""

import base64
import binascii
from pathlib import Path

from pydantic import AliasChoices, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

PREFIX = "DOCLOOP_"
ENV_FILE = ".env"
BLOB_KEY_BYTES = 32


class StorageSettings(BaseSettings):
    """The database, the files, and the key that encrypts them."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_file=ENV_FILE,
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        validate_by_name=True,
        validate_by_alias=True,
        # A message that quotes its input would print a mistyped secret.
        hide_input_in_errors=True,
        protected_namespaces=(),
    )

    data_dir: Path = Field(
        Path("var"), description="Folder of the embedded database, blobs and logs."
    )
    database_url: SecretStr | None = Field(
        None,
        validation_alias=AliasChoices("DOCLOOP_DATABASE_URL", "DATABASE_URL"),
        description="Address of a PostgreSQL 15 or later; none: an embedded one under data_dir.",
    )
    blob_key: SecretStr | None = Field(
        None,
        description="Encrypts stored files: 32 bytes in base64 (openssl rand -base64 32).",
    )

    @field_validator("blob_key")
    @classmethod
    def _check_blob_key(cls, key: SecretStr | None) -> SecretStr | None:
        if key is not None:
            _decode_key(key)
        return key

    @field_validator("database_url")
    @classmethod
    def _check_database_url(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None:
            try:
                backend = make_url(url.get_secret_value()).get_backend_name()
            except ArgumentError:
                backend = ""
            if backend not in {"postgresql", "postgres"}:
                raise ValueError("an address as postgresql://user:password@host/database is needed")
        return url

    @property
    def blob_key_bytes(self) -> bytes | None:
        """The 32 bytes of `blob_key`."""
        return None if self.blob_key is None else _decode_key(self.blob_key)


def _decode_key(key: SecretStr) -> bytes:
    why = f"{BLOB_KEY_BYTES} bytes in base64 are needed; make them with: openssl rand -base64 32"
    try:
        decoded = base64.b64decode(key.get_secret_value(), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(why) from None
    if len(decoded) != BLOB_KEY_BYTES:
        raise ValueError(why)
    return decoded
