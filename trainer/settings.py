"""What the trainer is told by `DOCLOOP_*` variables; how it trains stands in a profile."""

from pathlib import Path

from pydantic import Field

from db.settings import StorageSettings


class TrainerSettings(StorageSettings):
    """The settings of `docloop train` and `docloop worker`.

    The database, the files, the model folder and the key are those of the service, by the same
    variables, so that both meet.
    """

    model_dir: Path = Field(
        Path("build/model"), description="Folder of the model that the service begins with."
    )
    profile: str = Field(
        "small", description="How to train: small, production, or the path of a TOML file."
    )
    accelerate_file: Path | None = Field(
        None,
        description="File for `accelerate launch`, which starts the stages that train; none: on "
        "CPU plainly, on GPUs one of trainer/accelerate.",
    )
    worker_metrics_host: str = Field(
        "127.0.0.1", description="Address that the worker's metrics are served on."
    )
    worker_metrics_port: int = Field(
        9464, ge=0, le=65535, description="Port of the worker's metrics; 0: none are served."
    )
