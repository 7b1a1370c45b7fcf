"""How the stages that train are started: plainly on CPU, by accelerate's launcher on GPUs."""

import sys
from importlib import resources
from pathlib import Path

from trainer.profile import Profile


def launcher_of(profile: Profile, file: Path | None = None) -> tuple[str, ...]:
    """The command before `-m trainer.stage`; empty for a plain Python.

    Args:
        profile: its `device` decides where no file is named.
        file: one for `accelerate launch --config_file`.
    """
    if file is not None:
        return (*_ACCELERATE, str(file))
    if profile.device == "cpu":
        return ()
    import torch

    count = torch.cuda.device_count()
    name = "gpu.yaml" if count <= 1 else "gpus.yaml"
    shipped = str(resources.files("trainer") / "accelerate" / name)
    return (*_ACCELERATE, shipped, *(("--num_processes", str(count)) if count > 1 else ()))


_ACCELERATE = (sys.executable, "-m", "accelerate.commands.launch", "--config_file")
