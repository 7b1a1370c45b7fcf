"""The version of the service, as the installed distribution says."""

from importlib.metadata import PackageNotFoundError, version


def _find() -> str:
    try:
        return version("docloop")
    except PackageNotFoundError:  # run from a source folder
        return "0.0.0"


VERSION = _find()
