"""What routes are given: the services of this app, and a session that ends before the response."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from api.admission import Admission
from api.errors import DatabaseUnavailable
from api.flights import Flights
from api.known_keys import KnownKeys
from api.metrics import Metrics
from api.rate_limit import RateLimiter
from api.readiness import Readiness
from api.routing import Routing
from api.settings import Settings
from api.shadow import ShadowQueue
from db.blobs import BlobStore
from db.presence import Presence
from db.sessions import make_engine, make_sessions
from extraction.engine import Engine
from extraction.errors import EngineUnavailable
from extraction.extract import Extractor

_STARTING_RETRY_SECONDS = 2


@dataclass(slots=True)
class Services:
    """Everything that lives as long as the app, in `app.state.services`.

    The API answers while the database and the models still start; what is not there yet raises the
    error that says so.
    """

    settings: Settings
    metrics: Metrics
    admission: Admission
    limiter: RateLimiter
    engine: Engine
    blobs: BlobStore
    readiness: Readiness = field(default_factory=Readiness)
    flights: Flights = field(default_factory=Flights, repr=False)
    presence: Presence = field(default_factory=Presence, repr=False)
    known_keys: KnownKeys = field(default_factory=KnownKeys, repr=False)
    routing: Routing = field(default_factory=Routing)
    shadow: ShadowQueue = field(default_factory=ShadowQueue, repr=False)
    _extractor: Extractor | None = field(default=None, repr=False)
    _database_url: str | None = field(default=None, repr=False)
    _pool: AsyncEngine | None = field(default=None, repr=False)
    _sessions: async_sessionmaker[AsyncSession] | None = field(default=None, repr=False)

    @property
    def sessions(self) -> async_sessionmaker[AsyncSession]:
        """Makes sessions, for short transactions.

        Raises:
            DatabaseUnavailable: the database still starts.
        """
        if self._sessions is None:
            raise DatabaseUnavailable("it is starting", _STARTING_RETRY_SECONDS)
        return self._sessions

    @property
    def database_url(self) -> str:
        """Libpq's address of the database.

        Raises:
            DatabaseUnavailable: the database still starts.
        """
        if self._database_url is None:
            raise DatabaseUnavailable("it is starting", _STARTING_RETRY_SECONDS)
        return self._database_url

    @property
    def extractor(self) -> Extractor:
        """The serving sentence.

        Raises:
            EngineUnavailable: its models are still being loaded.
        """
        if self._extractor is None:
            raise EngineUnavailable("its parts are still being loaded", _STARTING_RETRY_SECONDS)
        return self._extractor

    @property
    def has_database(self) -> bool:
        """Whether `sessions` and `database_url` are there; it may still be down."""
        return self._sessions is not None

    @property
    def has_extractor(self) -> bool:
        """Whether `extractor` is there."""
        return self._extractor is not None

    def use_database(self, url: str) -> None:
        """From now on, sessions go there."""
        self._database_url = url
        self._pool = make_engine(url)
        self._sessions = make_sessions(self._pool)

    def use_extractor(self, extractor: Extractor) -> None:
        """From now on, documents are read by this one."""
        self._extractor = extractor

    async def close(self) -> None:
        """Close the connections to the database."""
        pool, self._pool, self._sessions = self._pool, None, None
        if pool is not None:
            await pool.dispose()


async def get_services(request: Request) -> Services:
    """The services of the app that got this request.

    A coroutine, for FastAPI runs plain functions on a thread, which costs more than this does.
    """
    services = request.app.state.services
    if not isinstance(services, Services):
        raise TypeError("app.state.services is set by create_app")
    return services


ServicesDep = Annotated[Services, Depends(get_services)]


async def open_session(services: ServicesDep) -> AsyncIterator[AsyncSession]:
    """A transaction around the route: committed when it returns, rolled back when it raises."""
    async with services.sessions() as session, session.begin():
        yield session


DbSession = Annotated[AsyncSession, Depends(open_session, scope="function")]
"""The route's session. With the scope "function" it is committed before the response leaves, so
that an answer never tells of a row that a crash can take back."""
