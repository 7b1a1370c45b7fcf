from pathlib import Path

import pytest

from api.engine.options import LocalOptions
from api.engine.start_log import StartLog

PREFIX = "(EngineCore pid=8343) INFO 11-22 11:16:59 [cpu_model_runner.py:68] "


def test_phases_are_read_from_lines_split_anywhere(tmp_path: Path) -> None:
    log = StartLog(tmp_path / "logs" / "engine.log")
    assert log.phase == "starting Python"
    log.feed(f"{PREFIX}Starting to lo".encode())
    assert log.phase == "starting Python"
    log.feed(b"ad model m...\n" + f"{PREFIX}Loading weights took 0.01 s\n".encode())
    assert log.phase == "preparing the cache"
    log.feed(f"{PREFIX}Enforce eager set, disabling torch.compile\n".encode())
    assert log.phase == "preparing the cache"
    log.begin()
    assert (log.phase, log.last_lines, log.fault()) == ("starting Python", (), "")
    log.close()
    assert (tmp_path / "logs" / "engine.log").read_text().count("\n") == 3


def test_the_fault_is_the_servers_error_with_what_follows(tmp_path: Path) -> None:
    log = StartLog(tmp_path / "engine.log")
    error = PREFIX.replace("INFO", "ERROR")
    log.feed(
        f"{error}pydantic_core.ValidationError: 1 validation error for ModelConfig\n"
        f"{error}  Value error, The checkpoint has model type `x`\n"
        "RuntimeError: Engine core initialization failed. See root cause above.\n".encode()
    )
    fault = log.fault()
    assert fault.startswith("ValidationError: 1 validation error for ModelConfig")
    assert fault.endswith(
        "The checkpoint has model type `x` RuntimeError: Engine core "
        "initialization failed. See root cause above."
    )
    log.close()


def test_an_endless_line_is_cut_and_the_file_rotates(tmp_path: Path) -> None:
    log = StartLog(tmp_path / "engine.log")
    for _ in range(1500):
        log.feed(b"x" * 5000 + b"\n")
    log.close()
    sizes = [file.stat().st_size for file in tmp_path.iterdir()]
    assert len(sizes) == 2
    assert max(sizes) <= 4 * 1024 * 1024


def test_our_secrets_do_not_reach_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCLOOP_API_KEY", "planted")
    monkeypatch.setenv("DATABASE_URL", "planted")
    options = LocalOptions(tmp_path, "v", tmp_path / "e.log", max_model_tokens=2048)
    arguments = options.arguments(8001)
    assert arguments[arguments.index("--host") + 1] == "127.0.0.1"
    assert arguments[arguments.index("--max-model-len") + 1] == "2048"
    environment = options.environment("k3y")
    assert environment["VLLM_API_KEY"] == "k3y"
    assert "k3y" not in " ".join(arguments)
    assert "planted" not in environment.values()
