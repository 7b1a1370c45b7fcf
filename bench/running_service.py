"""A real `docloop serve` in processes of its own, for benches and tests that measure or kill it."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import httpx
import psutil
from PIL import Image, ImageDraw

from api.engine.group import free_port
from db import tether
from db.cluster import read_postmaster

KEY = "dl_key-of-the-benches-and-faults"
MARK = "DOCUMENTS_RUN"  # stands in the environment of everything that the service starts
_ENGINE = ["-m", "vllm.entrypoints.openai.api_server"]
_POLL_SECONDS = 0.1


def draw_page(number: int, width: int = 480, height: int = 640) -> Image.Image:
    """A small page that looks like no other."""
    image = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(image)
    for row in range(16):
        text = f"{number:06d} line {row}: {number * 7919 + row * 104729}"
        draw.text((20, 20 + row * (height - 40) // 16), text, fill="black")
    return image


async def wait_served(client: httpx.AsyncClient, version: str, seconds: float) -> None:
    """Wait until a promoted version is served.

    Raises:
        RuntimeError: it cannot be, or was not in time; the message says which.
    """
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        listed = (await client.get("/models")).raise_for_status().json()
        if any(model["served"] and model["id"] == version for model in listed["models"]):
            return
        if listed["problem"] and "waits" not in listed["problem"]:
            raise RuntimeError(listed["problem"])
        await asyncio.sleep(_POLL_SECONDS)
    raise RuntimeError(f"{version} was not served in time")


@dataclass
class RunningService:
    """The service; `start` it again after `kill` or `interrupt`, the same way.

    Attributes:
        data: its data folder, kept between the starts.
        model: the served model's folder.
        environment: further settings, as DOCLOOP_* variables.
    """

    data: Path
    model: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    mark: str = field(default_factory=lambda: uuid4().hex)
    _process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The API's address."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Process id of the API."""
        if self._process is None:
            raise RuntimeError("the service has not been started")
        return self._process.pid

    def client(self, timeout_seconds: float = 120.0) -> httpx.AsyncClient:
        """A client with the key of this service."""
        return httpx.AsyncClient(
            base_url=self.url,
            headers={"authorization": f"Bearer {KEY}"},
            timeout=timeout_seconds,
            trust_env=False,
        )

    def start(self) -> None:
        """Start it; returns at once."""
        own = {
            "DOCLOOP_API_KEY": KEY,
            "DOCLOOP_PORT": str(self.port),
            "DOCLOOP_RATE_LIMIT_PER_MINUTE": "0",
            MARK: self.mark,
        }
        self.data.mkdir(parents=True, exist_ok=True)
        with (self.data / "serve.log").open("ab") as log:
            # Ends with us, however we end; its engine and its Postgres end with it.
            tied = [sys.executable, "-I", tether.__file__, str(os.getpid()), "0"]
            self._process = subprocess.Popen(  # noqa: S603 - our own program
                [*tied, sys.executable, "-m", "api.cli", "serve"],
                cwd=self.data,  # no .env of the folder that a bench is started in
                env=self._environment(own),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def command(self, *arguments: str) -> str:
        """A `docloop` command of its own beside the service; answers what it wrote.

        Raises:
            RuntimeError: it failed; the message is what it wrote.
        """
        done = subprocess.run(  # noqa: S603 - our own program
            [sys.executable, "-m", "api.cli", *arguments],
            cwd=self.data,
            env=self._environment({}),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"docloop {arguments[0]}: {done.stderr}")
        return done.stdout + done.stderr

    async def wait_ready(self, seconds: float = 180.0) -> float:
        """Wait until it says that it is ready; answers how long that took.

        Raises:
            RuntimeError: it ended, or was not ready in time.
        """
        began = time.monotonic()
        async with self.client(5.0) as client:
            while time.monotonic() - began < seconds:
                if self._process is not None and self._process.poll() is not None:
                    break
                try:
                    if (await client.get("/readyz")).status_code == httpx.codes.OK:
                        return time.monotonic() - began
                except httpx.HTTPError:
                    pass
                await asyncio.sleep(_POLL_SECONDS)
        raise RuntimeError(f"the service is not ready; {self.data / 'serve.log'} says why")

    def kill(self) -> None:
        """Kill -9 of the API."""
        os.kill(self.pid, signal.SIGKILL)
        self._reap(10.0)

    def interrupt(self, seconds: float = 60.0) -> int:
        """Ctrl-C; answers the exit status."""
        os.kill(self.pid, signal.SIGINT)
        return self._reap(seconds)

    def stop(self) -> None:
        """End it, however it is."""
        if self._process is None or self._process.poll() is not None:
            return
        try:
            self.interrupt()
        except subprocess.TimeoutExpired:
            self.kill()

    def engine_pid(self) -> int:
        """Process id of the model server that the API started.

        Raises:
            ProcessLookupError: there is none.
        """
        for child in psutil.Process(self.pid).children():
            if child.cmdline()[1:3] == _ENGINE:
                return child.pid
        raise ProcessLookupError("no model server")

    def postgres_pid(self) -> int:
        """Process id of the postmaster.

        Raises:
            ProcessLookupError: there is none.
        """
        found = read_postmaster(self.data.resolve() / "postgres" / "cluster")
        if found is None:
            raise ProcessLookupError("no postmaster")
        return found.process.pid

    def processes(self) -> list[psutil.Process]:
        """Everything that runs because of this service, orphans of earlier starts included.

        PostgreSQL overwrites its environment, so its processes are known by their data folder and
        as children of the others.
        """
        found: dict[int, psutil.Process] = {}
        for process in psutil.process_iter():
            try:
                marked = process.environ().get(MARK) == self.mark
                if marked or str(self.data.resolve()) in " ".join(process.cmdline()):
                    for one in (process, *process.children(recursive=True)):
                        found[one.pid] = one
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        return [process for process in found.values() if _runs(process)]

    def _environment(self, own: Mapping[str, str]) -> dict[str, str]:
        """This process's without another service's settings, with this one's and `own`."""
        foreign = ("DOCLOOP_", "DATABASE_URL")
        environment = {k: v for k, v in os.environ.items() if not k.startswith(foreign)}
        folders = {"DOCLOOP_DATA_DIR": str(self.data), "DOCLOOP_MODEL_DIR": str(self.model)}
        return {**environment, **folders, **own, **self.environment}

    def _reap(self, seconds: float) -> int:
        if self._process is None:
            raise RuntimeError("the service has not been started")
        return self._process.wait(seconds)


def _runs(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
