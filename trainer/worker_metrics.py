"""What Prometheus is told about training; each worker serves it on a port of its own."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

from db.tables import Promotion, PromotionReason, TrainingRun

RESULTS = ("promoted", "not_promoted", "failed", "interrupted")
_DURATIONS = (60.0, 300.0, 900.0, 1800.0, 3600.0, 7200.0, 14400.0, 28800.0, 86400.0)
_ROLLBACKS = frozenset({PromotionReason.ROLLBACK, PromotionReason.AUTOMATIC_ROLLBACK})


class WorkerMetrics:
    """The numbers of one worker.

    Those about runs and corrections are read from the database at each look and are the same on
    every worker; counters count what happened while this worker watched.

    Args:
        registry: to register in; a new one where None.
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        self._generation: int | None = None
        self._stage = ""
        self._last_success = Gauge(
            "docloop_training_last_success_timestamp_seconds",
            "When a cycle last came to its end, promoted or rightly not; 0: never.",
            registry=self.registry,
        )
        self._runs = Counter(
            "docloop_training_runs",
            "Cycles that this worker ran.",
            ("result",),
            registry=self.registry,
        )
        self._stage_running = Gauge(
            "docloop_training_stage_info",
            "1 for the stage that a cycle is in.",
            ("stage",),
            registry=self.registry,
        )
        self._progress = Gauge(
            "docloop_training_stage_progress_ratio",
            "How much of the stage is done; 0 where no cycle runs.",
            registry=self.registry,
        )
        self._waiting = Gauge(
            "docloop_training_waiting_corrections",
            "Accepted corrections that no finished cycle has seen.",
            registry=self.registry,
        )
        self._held = Gauge(
            "docloop_training_held_corrections",
            "Corrections in quarantine that wait for a second person.",
            registry=self.registry,
        )
        self._seconds = Histogram(
            "docloop_training_cycle_duration_seconds",
            "Time of a cycle that came to its end, from its first start; pauses count.",
            buckets=_DURATIONS,
            registry=self.registry,
        )
        self._period = Gauge(
            "docloop_training_period_seconds",
            "The longest time between two cycles where corrections wait, as the profile says.",
            registry=self.registry,
        )
        self._least = Gauge(
            "docloop_training_least_corrections",
            "With fewer waiting corrections no cycle begins, as the profile says.",
            registry=self.registry,
        )
        self._started = Gauge(
            "docloop_training_worker_start_timestamp_seconds",
            "When this worker began to look.",
            registry=self.registry,
        )
        self._started.set_to_current_time()
        self._rollbacks = Counter(
            "docloop_rollbacks",
            "Returns to an earlier champion, by hand or automatic.",
            ("reason",),
            registry=self.registry,
        )
        for result in RESULTS:  # an alert on a rate needs the series before the first event
            self._runs.labels(result)
        for reason in _ROLLBACKS:
            self._rollbacks.labels(str(reason))

    def set_last_success(self, timestamp_seconds: float) -> None:
        """When the last finished cycle ended, as seconds since 1970."""
        self._last_success.set(timestamp_seconds)

    def set_schedule(self, *, period_seconds: float, least_corrections: int) -> None:
        """When a cycle is due at the latest, and from how many waiting corrections on."""
        self._period.set(period_seconds)
        self._least.set(least_corrections)

    def set_corrections(self, *, waiting: int, held: int) -> None:
        """How many wait for a cycle and for a person."""
        self._waiting.set(waiting)
        self._held.set(held)

    def show_run(self, run: TrainingRun | None) -> None:
        """The stage of the unfinished run; None where there is none."""
        stage = "" if run is None else run.stage or "start"
        if self._stage and self._stage != stage:
            self._stage_running.remove(self._stage)
        self._stage = stage
        if stage:
            self._stage_running.labels(stage).set(1)
        self._progress.set(0.0 if run is None else run.stage_progress or 0.0)

    def count_run(self, result: str, seconds: float | None = None) -> None:
        """A cycle of this worker ended.

        Args:
            result: one of `RESULTS`.
            seconds: from its first start, where it came to its end.
        """
        self._runs.labels(result).inc()
        if seconds is not None:
            self._seconds.observe(seconds)

    def count_rollbacks(self, promotions: Iterable[Promotion]) -> None:
        """The newest changes of the champion; each rollback counts once.

        Those before the first look are not counted: another worker has.
        """
        changes = list(promotions)
        newest = max((change.generation for change in changes), default=0)
        if self._generation is not None:
            for change in changes:
                if change.generation > self._generation and change.reason in _ROLLBACKS:
                    self._rollbacks.labels(str(change.reason)).inc()
        self._generation = max(newest, self._generation or 0)

    @contextmanager
    def served(self, host: str, port: int) -> Iterator[None]:
        """Answers scrapes on `http://host:port/metrics` while the block lasts; not where port is 0.

        Raises:
            OSError: the port is taken.
        """
        if port == 0:
            yield
            return
        server, thread = start_http_server(port, host, self.registry)
        try:
            yield
        finally:
            server.shutdown()
            thread.join()
            server.server_close()
