from uuid import UUID, uuid4

import pytest

from api.routing import Canary, Routing, is_chosen
from db.types import uuid7

IDS = [uuid4() for _ in range(4000)]


@pytest.mark.parametrize("ratio", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_the_share_is_kept(ratio: float) -> None:
    chosen = sum(is_chosen(one, ratio) for one in IDS) / len(IDS)
    assert chosen == pytest.approx(ratio, abs=0.03)
    assert ratio not in {0.0, 1.0} or chosen == ratio


def test_ids_of_one_moment_are_on_both_sides() -> None:
    """The service's ids begin with the time."""
    neighbours = [uuid7() for _ in range(400)]
    assert 120 < sum(is_chosen(one, 0.5) for one in neighbours) < 280


def test_the_same_prediction_is_always_on_the_same_side() -> None:
    known = UUID("01920000-0000-7000-8000-000000000000")
    # Written down, for another process or another version of this code has to agree.
    assert [is_chosen(known, ratio / 10) for ratio in range(11)] == [False] * 9 + [True] * 2


def test_a_larger_share_contains_the_smaller_one() -> None:
    small = {one for one in IDS if is_chosen(one, 0.2)}
    large = {one for one in IDS if is_chosen(one, 0.4)}
    assert small < large


def test_without_a_canary_the_champion_answers() -> None:
    routing = Routing()
    assert {routing.canary_for(one) for one in IDS[:50]} == {None}
    routing.canary = Canary("v-2", 1.0)
    assert {routing.canary_for(one) for one in IDS[:50]} == {"v-2"}
    routing.canary = Canary("v-2", 0.5)
    assert {routing.canary_for(one) for one in IDS[:50]} == {"v-2", None}
