"""The command line as a client of a running service."""

import time
from types import TracebackType
from typing import Annotated, Any, Self

import httpx
import typer

from api.settings import Settings

_RETRIES = 8
_TRY_AGAIN = frozenset({429, 503})
_TIMEOUT_SECONDS = 600.0
_FIRST_FAULT = 400

UrlOption = Annotated[
    str | None,
    typer.Option("--url", envvar="DOCLOOP_URL", help="The service; http://127.0.0.1:8000."),
]
KeyOption = Annotated[
    str | None,
    typer.Option(
        "--key", envvar="DOCLOOP_API_KEY", help="An API key; better in DOCLOOP_API_KEY than here."
    ),
]


class ServiceFault(Exception):
    """The service refuses or cannot be reached; the message is for the user."""

    def __init__(self, detail: str, problem: dict[str, Any] | None = None) -> None:
        self.detail = detail
        self.problem = problem or {"title": "Not reached", "detail": detail}
        super().__init__(detail)


class Client:
    """Asks a running service; waits and asks again where it says so.

    Args:
        settings: give the address where none is named.
        url: the service's address.
        key: an API key.
    """

    def __init__(self, settings: Settings, url: str | None, key: str | None) -> None:
        if key is None and settings.api_key is not None:
            key = settings.api_key.get_secret_value()
        self.url = (url or f"http://{settings.host}:{settings.port}").rstrip("/")
        headers = {"authorization": f"Bearer {key}"} if key else {}
        self._http = httpx.Client(
            base_url=self.url,
            headers=headers,
            timeout=httpx.Timeout(_TIMEOUT_SECONDS, connect=5.0),
            # Proxies are for other machines.
            trust_env=not _is_local(self.url),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._http.close()

    def ask(self, method: str, path: str, **request: Any) -> Any:
        """The answer's JSON.

        Raises:
            ServiceFault: with the problem's own sentence.
        """
        for attempt in range(_RETRIES):
            try:
                response = self._http.request(method, path, **request)
            except httpx.HTTPError as error:
                raise ServiceFault(
                    f"{self.url} cannot be reached ({type(error).__name__}); "
                    "start it with `docloop serve`, or name another with --url."
                ) from None
            if response.status_code not in _TRY_AGAIN or attempt == _RETRIES - 1:
                break
            time.sleep(_pause(response))
        return _read(response)


def _read(response: httpx.Response) -> Any:
    try:
        content = response.json() if response.content else None
    except ValueError:
        raise ServiceFault(f"status {response.status_code}, and no JSON; is it docloop?") from None
    if response.status_code < _FIRST_FAULT:
        return content
    problem = content if isinstance(content, dict) else {}
    raise ServiceFault(str(problem.get("detail") or f"status {response.status_code}"), problem)


def _pause(response: httpx.Response) -> float:
    stated = response.headers.get("retry-after", "")
    return min(30.0, float(stated)) if stated.isdigit() else 2.0


def _is_local(url: str) -> bool:
    return httpx.URL(url).host in {"127.0.0.1", "localhost", "::1"}
