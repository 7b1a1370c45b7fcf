import asyncio
from typing import Any

import pytest
from starlette.requests import Request

from api.admission import Admission, until_gone
from api.errors import ClientGone, QueueFull, QueueTimeout, RateLimited
from api.rate_limit import RateLimiter
from db.types import uuid7


def make(max_concurrency: int = 1, queue_size: int = 1, wait: float = 5.0) -> Admission:
    return Admission(
        max_concurrency=max_concurrency,
        queue_size=queue_size,
        queue_wait_seconds=wait,
        most_bytes=100,
    )


async def hold(admission: Admission, release: asyncio.Event, *, patient: bool = False) -> float:
    async with admission.place(patient=patient) as place:
        await release.wait()
        return place.waited_seconds


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_runs_waits_and_turns_away() -> None:
    admission, release = make(max_concurrency=2, queue_size=1), asyncio.Event()
    tasks = [asyncio.create_task(hold(admission, release)) for _ in range(3)]
    await settle()
    assert (admission.running, admission.waiting) == (2, 1)
    with pytest.raises(QueueFull) as caught:
        await hold(admission, release)
    assert caught.value.retry_after_seconds >= 1
    release.set()
    assert await asyncio.gather(*tasks)
    assert (admission.running, admission.waiting) == (0, 0)


async def test_first_come_first_served() -> None:
    admission, order = make(queue_size=9), []
    first = asyncio.Event()

    async def visit(number: int) -> None:
        async with admission.place(patient=number == 1):
            order.append(number)

    holder = asyncio.create_task(hold(admission, first))
    await settle()
    tasks = [asyncio.create_task(visit(number)) for number in range(4)]
    await settle()
    first.set()
    await asyncio.gather(holder, *tasks)
    assert order == [0, 1, 2, 3]


async def test_waiting_too_long_ends_and_frees_the_line() -> None:
    admission, release = make(wait=0.02), asyncio.Event()
    holder = asyncio.create_task(hold(admission, release))
    await settle()
    with pytest.raises(QueueTimeout):
        await hold(admission, release)
    assert admission.waiting == 0
    release.set()
    await holder
    assert admission.running == 0


async def test_patient_work_counts_against_no_queue() -> None:
    admission, release = make(queue_size=0, wait=0.01), asyncio.Event()
    tasks = [asyncio.create_task(hold(admission, release, patient=True)) for _ in range(3)]
    await asyncio.sleep(0.03)
    assert admission.waiting == 2
    release.set()
    await asyncio.gather(*tasks)


async def test_a_cancelled_waiter_leaves_the_line_and_a_cancelled_holder_its_place() -> None:
    admission, release = make(queue_size=2), asyncio.Event()
    holder, waiter, last = (asyncio.create_task(hold(admission, release)) for _ in range(3))
    await settle()
    waiter.cancel()
    await settle()
    assert (admission.running, admission.waiting) == (1, 1)
    holder.cancel()
    await settle()
    assert (admission.running, admission.waiting) == (1, 0)
    release.set()
    await last
    assert admission.running == 0


async def test_a_turn_that_comes_while_its_waiter_is_cancelled_is_passed_on() -> None:
    admission, release = make(queue_size=2), asyncio.Event()
    holder, waiter, last = (asyncio.create_task(hold(admission, release)) for _ in range(3))
    await settle()
    waiter_turn = admission._turns[0]
    waiter.cancel()
    if not waiter_turn.done():
        waiter_turn.set_result(None)  # as if the holder had left in this very moment
        admission._turns.popleft()
        admission._running += 1
    await settle()
    holder.cancel()
    release.set()
    await last
    assert (admission.running, admission.waiting) == (0, 0)


async def test_retry_after_follows_the_recent_pace() -> None:
    admission = make(max_concurrency=2, queue_size=9)
    admission._recent.extend([10.0] * 5)
    assert admission.retry_after_seconds() == 5
    admission._recent.clear()
    admission._recent.extend([10_000.0])
    assert admission.retry_after_seconds() == 120


def fake_request(events: asyncio.Queue[dict[str, Any]]) -> Request:
    return Request({"type": "http", "headers": []}, receive=events.get)


async def test_a_client_that_hangs_up_frees_its_place() -> None:
    admission, events = make(), asyncio.Queue[dict[str, Any]]()
    ended = asyncio.Event()

    async def work() -> None:
        try:
            await hold(admission, asyncio.Event())
        finally:
            ended.set()

    answer = asyncio.create_task(until_gone(fake_request(events), work()))
    await settle()
    assert admission.running == 1
    events.put_nowait({"type": "http.disconnect"})
    with pytest.raises(ClientGone):
        await answer
    assert ended.is_set()
    assert admission.running == 0


async def test_a_client_that_stays_gets_the_result_or_the_error() -> None:
    request = fake_request(asyncio.Queue())

    async def fail() -> None:
        raise QueueFull(1, 1)

    assert await until_gone(request, asyncio.sleep(0, "answer")) == "answer"
    with pytest.raises(QueueFull):
        await until_gone(request, fail())


async def test_cancelling_the_request_cancels_its_work() -> None:
    ended = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    task = asyncio.create_task(until_gone(fake_request(asyncio.Queue()), work()))
    await settle()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()


def test_the_bucket_empties_and_fills_evenly() -> None:
    now = 0.0
    limiter, key = RateLimiter(60, clock=lambda: now), uuid7()
    for _ in range(60):
        limiter.take(key)
    with pytest.raises(RateLimited) as caught:
        limiter.take(key)
    assert (caught.value.requests_per_minute, caught.value.retry_after_seconds) == (60, 1)
    limiter.take(uuid7())  # another key is not concerned
    now = 1.0
    limiter.take(key)
    with pytest.raises(RateLimited):
        limiter.take(key)


def test_a_key_may_have_its_own_limit_and_zero_is_none() -> None:
    limiter = RateLimiter(60, clock=lambda: 0.0)
    own, free = uuid7(), uuid7()
    limiter.take(own, 1)
    with pytest.raises(RateLimited) as caught:
        limiter.take(own, 1)
    assert caught.value.retry_after_seconds == 60
    for _ in range(200):
        limiter.take(free, 0)


def test_forgotten_keys_take_no_memory() -> None:
    now = 0.0
    limiter = RateLimiter(60, clock=lambda: now)
    for _ in range(4096):
        limiter.take(uuid7())
    now = 61.0
    limiter.take(uuid7())
    assert len(limiter._buckets) == 1


def test_what_is_held_is_bounded_and_one_document_always_finds_room() -> None:
    admission = make()
    with admission.hold(1000), pytest.raises(QueueFull), admission.hold(1):
        raise AssertionError
    with admission.hold(60), admission.hold(40), pytest.raises(QueueFull), admission.hold(1):
        raise AssertionError
    with admission.hold(100):
        pass
