"""Each reward: the right answer has all of it, and each row says why it is what it is."""

import pickle
from dataclasses import replace
from typing import Any

import pytest

from extraction.prompt import AnswerFormat, Asked
from tests.factories_lines import LOWER, UPPER, page_of
from tests.factories_rewards import (
    END,
    PASSPORT,
    PASSPORT_LINES,
    PASSPORT_REFERENCE,
    RECEIPT,
    RECEIPT_REFERENCE,
    REWARDS,
    WEIGHTS,
    gold,
    scores,
    task_of,
    tasks,
    token_ids,
    written,
)
from trainer.profile import RewardsSection, load_profile
from trainer.rewards import Task, TokenizerDecode, encode_task, make_rewards
from trainer.rewards.base import text_of

TASKS = tasks()
OF_PAGES_AND_GRAPHS = {
    name for name in RewardsSection.model_fields if name.startswith(("page_", "layout_", "graph_"))
} | {"front_matter"}
MOST = dict.fromkeys(RewardsSection.model_fields, 1.0) | {"repetition": 0.0}


def test_the_order_and_the_weights_are_those_of_the_profile() -> None:
    section = load_profile("small").rewards.model_copy(update={"mrz": 0.0})
    functions, weights = make_rewards(section, end_token_ids=[END])
    assert [function.__name__ for function in functions] == list(RewardsSection.model_fields)
    assert weights == list(section.model_dump().values())
    assert weights[3] == 0.0, "a reward without weight is recorded all the same"


@pytest.mark.parametrize("name", TASKS)
def test_the_right_answer_has_the_most_of_each_reward(name: str) -> None:
    task = TASKS[name]
    scored = scores(task, gold(task))
    assert {key: value for key, value in scored.items() if value is not None} == {
        key: MOST[key] for key, value in scored.items() if value is not None
    }
    is_none = {key for key, value in scored.items() if value is None}
    expected = OF_PAGES_AND_GRAPHS | ({"reasoning_format"} if not task.asked.reasoning else set())
    expected |= set() if "passport" in name else {"mrz"}
    expected |= set() if "receipt" in name else {"receipt_arithmetic"}
    assert is_none == expected


def test_the_right_answer_to_a_page_without_any_asked_field_is_empty() -> None:
    for form, text in ((AnswerFormat.JSON, "{}"), (AnswerFormat.ENTITY_TOKENS, "")):
        task = task_of(RECEIPT, {"tip": None, "total": None}, page_of("HELLO"), form)
        scored = scores(task, gold(task))
        assert gold(task) == text
        assert (scored["valid_record"], scored["fields"], scored["ended"]) == (1.0, 1.0, 1.0)
        invented = scores(task, written(task, {"total": "9.00"}))
        assert (invented["fields"], invented["receipt_arithmetic"]) == (0.0, None)


def receipt(**changes: Any) -> str:
    return written(TASKS["receipt"], RECEIPT_REFERENCE | changes)


@pytest.mark.parametrize(
    ("text", "ended", "score", "why"),
    [
        (receipt(), True, 1.0, "whole"),
        (receipt(), False, 0.0, "cut, even where the JSON is whole"),
        (receipt(total="many"), True, 1 - 1 / 18, "one of 18 leaves is no amount"),
        (receipt()[:-1], True, 0.0, "no JSON"),
        ('{"total":"1.00","total":"1.00"}', True, 0.0, "a field stands twice"),
        ('{"tips":"1.00"}', True, 0.0, "an unknown field"),
        ('{"merchant_phone":"1"}', True, 0.0, "a field of the type that was not asked"),
        ("<think>Row 2.</think>" + receipt(), True, 0.0, "a thought that was not asked"),
        ("{}", True, 0.0, "nothing, where there is something"),
        ('{"items":[{}]}', True, 0.0, "nothing in a list"),
        ("", True, 0.0, "no text"),
    ],
)
def test_valid_record(text: str, ended: bool, score: float, why: str) -> None:
    scored = scores(TASKS["receipt"], text, ended=ended)
    assert scored["valid_record"] == pytest.approx(score), why


def test_a_field_that_code_fills_is_not_valid_in_an_answer() -> None:
    task = task_of(PASSPORT, PASSPORT_REFERENCE | {"mrz": None}, PASSPORT_LINES)
    assert scores(task, '{"surname":"ERIKSSON","mrz":{"lines":["A"]}}')["valid_record"] == 0.0


@pytest.mark.parametrize(
    ("changes", "score", "why"),
    [
        ({}, 1.0, "right"),
        ({"total": "RM 106.00"}, 1.0, "as printed"),
        ({"total": "105.00"}, 10 / 11, "one of eleven fields is wrong"),
        ({"total": None}, 10 / 11, "one is missing"),
        ({"tip": "0.00"}, 11 / 12, "one is invented"),
        ({"tip": "0.00", "rounding": "0.00"}, 11 / 13, "two are"),
        ({"total": None, "tip": "106.00"}, 10 / 12, "in the wrong place"),
    ],
)
def test_fields(changes: dict[str, Any], score: float, why: str) -> None:
    assert scores(TASKS["receipt"], receipt(**changes))["fields"] == pytest.approx(score), why


def test_fields_of_a_cut_answer_are_those_before_the_cut() -> None:
    task = task_of(RECEIPT, {"receipt_number": "CS-1", "total": "9.00"})
    text = '{"receipt_number":"CS-1","total":"9.'
    assert scores(task, text, ended=False)["fields"] == 0.5
    assert scores(task, text, ended=True)["fields"] == 0.0


def test_what_nobody_confirmed_is_not_scored() -> None:
    asked = Asked(RECEIPT.select(("total", "tip")))
    assert scores(Task(asked, {}, ()), '{"tip":"1.00"}')["fields"] is None
    partial = Task(asked, {"total": "9.00"}, ())
    assert scores(partial, '{"total":"9.00","tip":"1.00"}')["fields"] == 1.0


ENTITY_DATES = task_of(
    PASSPORT,
    {"date_of_birth": "1974-08-12", "date_of_expiry": "2012-04-15", "date_of_issue": None},
    answer_format=AnswerFormat.ENTITY_TOKENS,
)


@pytest.mark.parametrize(
    ("text", "score", "why"),
    [
        ("<date_of_birth>12-08-1974</date_of_birth>", 0.5, "one of two"),
        ("<date_of_birth>01-01-2000</date_of_birth>", 0.5, "the form, not the day"),
        ("<date_of_birth>12 AUG 1974</date_of_birth>", 0.0, "as printed is not the form"),
        ("<date_of_birth>1974-08-12</date_of_birth>", 0.0, "nor is ISO"),
        ("<date_of_birth>31-02-1974</date_of_birth>", 0.0, "no day of the calendar"),
        ("", 0.0, "none of two"),
        ("what?", 0.0, "no record"),
        (
            "<date_of_birth>12-08-1974</date_of_birth><date_of_issue>01-01-2000</date_of_issue>",
            1 / 2,
            "two answered, two expected, and an invented one is not good",
        ),
    ],
)
def test_date_format_in_entity_tokens(text: str, score: float, why: str) -> None:
    assert scores(ENTITY_DATES, text)["date_format"] == pytest.approx(score), why


@pytest.mark.parametrize(
    ("printed", "score"),
    [("20/04/2018", 1.0), ("20 April 2018", 1.0), ("2018-04-20", 1.0), ("2O/O4/2OI8", 0.0)],
)
def test_date_format_in_json_is_the_print(printed: str, score: float) -> None:
    scored = scores(TASKS["receipt"], receipt(transaction_date=printed))
    assert scored["date_format"] == score


def test_no_date_no_date_format() -> None:
    task = task_of(RECEIPT, {"total": "9.00"})
    assert scores(task, '{"total":"9.00"}')["date_format"] is None
    assert scores(task, "broken")["date_format"] is None


@pytest.mark.parametrize(
    ("changes", "score", "why"),
    [
        ({}, 1.0, "all eight fields agree"),
        ({"document_number": "L898902C4"}, 7 / 8, "one differs"),
        ({"surname": "ERICSSON"}, 1.0, "a spelling that the zone may stand for"),
        ({"place_of_birth": "X"}, 1.0, "the zone does not have it"),
        ({"surname": None, "sex": None}, 6 / 8, "two are missing"),
    ],
)
def test_mrz_agreement(changes: dict[str, Any], score: float, why: str) -> None:
    task = TASKS["passport"]
    assert scores(task, written(task, PASSPORT_REFERENCE | changes))["mrz"] == score, why


def test_mrz_without_a_zone_or_a_passport_is_none() -> None:
    task = task_of(PASSPORT, PASSPORT_REFERENCE, PASSPORT_LINES[:5])
    assert scores(task, gold(task))["mrz"] is None
    assert scores(TASKS["receipt"], receipt())["mrz"] is None


def test_mrz_counts_only_what_check_digits_prove() -> None:
    """The birth's digit fails, so neither the birth nor what no digit protects is compared."""
    unproven = LOWER[:13] + "7408130" + LOWER[20:]
    lines = page_of(UPPER, unproven)
    task = task_of(PASSPORT, PASSPORT_REFERENCE, lines)
    record = PASSPORT_REFERENCE | {"date_of_birth": "1970-01-01", "sex": "M"}
    assert scores(task, written(task, record))["mrz"] == 1.0
    wrong = record | {"document_number": "A"}
    assert scores(task, written(task, wrong))["mrz"] == 0.5, "number and expiry are proven"


def test_mrz_leaves_out_where_the_print_is_known_to_differ() -> None:
    reference = PASSPORT_REFERENCE | {"document_number": "OTHER1", "given_names": None}
    task = task_of(PASSPORT, reference, PASSPORT_LINES)
    assert scores(task, gold(task))["mrz"] == 1.0
    copied = reference | {"document_number": "L898902C3"}
    assert scores(task, written(task, copied))["mrz"] == 1.0
    invented = reference | {"given_names": "ANNA MARIA"}
    assert scores(task, written(task, invented))["mrz"] == 6 / 7


@pytest.mark.parametrize(
    ("lines", "confirmed", "score", "why"),
    [
        ([UPPER, LOWER], [UPPER, LOWER], 1.0, "all five digits agree"),
        ([UPPER, LOWER[:9] + "7" + LOWER[10:]], [UPPER, LOWER], 3 / 5, "number and composite"),
        ([UPPER], [UPPER, LOWER], 0.0, "no zone"),
        ([], [UPPER, LOWER], 0.0, "nothing"),
        ([UPPER, LOWER], None, 0.0, "confirmed to be absent"),
        ([], None, None, "rightly absent"),
        ([UPPER, LOWER], ..., 1.0, "nobody has confirmed it"),
        ([UPPER], ..., 0.0, "nor is it a zone"),
    ],
)
def test_mrz_digits_of_a_zone_that_the_type_asks_for(
    lines: list[str], confirmed: Any, score: float | None, why: str
) -> None:
    zone = PASSPORT.field("mrz")
    asked_lines = tuple(replace(child, asked=True) for child in zone.children)
    wanted = replace(zone, asked=True, children=asked_lines)
    asked = Asked(replace(PASSPORT.select(("mrz",)), fields=(wanted,)))
    reference = {"mrz": {"lines": confirmed}} if isinstance(confirmed, list) else {"mrz": None}
    task = Task(asked, {} if confirmed is ... else reference, ())
    assert scores(task, written(task, {"mrz": {"lines": lines}}))["mrz"] == score, why


@pytest.mark.parametrize(
    ("changes", "score", "why"),
    [
        ({}, 1.0, "items, total and payments add up"),
        ({"subtotal": "99.00"}, 1 / 3, "items and total do not, payments do"),
        ({"total": "107.00"}, 1 / 3, "items do"),
        ({"total": "107.00", "tax_total": "7.00", "change_due": "3.00"}, 1 / 3, "made to fit"),
        ({"items": []}, 2 / 3, "items are missing that would add up"),
        ({"tip": "0.00"}, 2 / 3, "a part of the total that is confirmed to be absent"),
    ],
)
def test_receipt_arithmetic(changes: dict[str, Any], score: float, why: str) -> None:
    scored = scores(TASKS["receipt"], receipt(**changes))
    assert scored["receipt_arithmetic"] == pytest.approx(score), why


def test_a_receipt_that_does_not_add_up_by_itself_is_no_test() -> None:
    task = task_of(RECEIPT, {"subtotal": "10.00", "total": "12.00"})
    assert scores(task, gold(task))["receipt_arithmetic"] is None
    assert scores(task, '{"subtotal":"12.00","total":"12.00"}')["receipt_arithmetic"] is None


def test_amounts_that_nobody_confirmed_have_to_be_on_the_page() -> None:
    asked = Asked(RECEIPT.select(("subtotal", "total")))
    page = tuple(page_of(("SUBTOTAL", "10.00"), ("TOTAL", "10.00")))
    task = Task(asked, {}, page)
    assert scores(task, '{"subtotal":"10.00","total":"10.00"}')["receipt_arithmetic"] == 1.0
    assert scores(task, '{"subtotal":"0.50","total":"0.50"}')["receipt_arithmetic"] == 0.0
    unseen = Task(asked, {}, ())
    assert scores(unseen, '{"subtotal":"0.50","total":"0.50"}')["receipt_arithmetic"] == 1.0


@pytest.mark.parametrize("kind", ["passport", "a caller's type"])
def test_receipt_arithmetic_is_for_receipts(kind: str) -> None:
    assert scores(TASKS[kind], gold(TASKS[kind]))["receipt_arithmetic"] is None


def test_ended() -> None:
    task = TASKS["receipt"]
    assert scores(task, receipt())["ended"] == 1.0
    assert scores(task, receipt(), ended=False)["ended"] == 0.0
    assert scores(task, "", ended=False)["ended"] == 0.0


@pytest.mark.parametrize(
    ("text", "asked", "score", "why"),
    [
        ('<think>Row 2.</think>{"total":"9.00"}', True, 1.0, "before the answer"),
        ('<think></think>{"total":"9.00"}', True, 1.0, "as an example without a thought has it"),
        ('{"total":"9.00"}', True, 0.0, "none"),
        ('<think>Row 2.{"total":"9.00"}', True, 0.0, "no end"),
        ('<think><think></think>{"total":"9.00"}', True, 0.0, "two"),
        ('{"total":"9.00"}<think>Row 2.</think>', True, 0.0, "behind the answer"),
        ('{"total":"9.00"}', False, None, "none was asked"),
        ('<think>Row 2.</think>{"total":"9.00"}', False, 0.0, "none was asked, one is there"),
        ("{<think>", False, 0.0, "in an answer that is no record"),
        ('{"merchant_name":"<think>"}', False, None, "a value is no thought"),
    ],
)
def test_reasoning_format(text: str, asked: bool, score: float | None, why: str) -> None:
    names = {"merchant_name": "A", "total": "9.00"}
    task = task_of(RECEIPT, names, reasoning=asked)
    assert scores(task, text)["reasoning_format"] == score, why


@pytest.mark.parametrize(
    ("changes", "score", "why"),
    [
        ({}, 0.0, "the page and the reference repeat amounts too"),
        ({"merchant_name": "ABC"}, 0.0, "wrong, but once"),
        ({"merchant_name": "SDN BHD " * 10}, -16 / 39, "18 triples of which two are distinct"),
    ],
)
def test_repetition(changes: dict[str, Any], score: float, why: str) -> None:
    scored = scores(TASKS["receipt"], receipt(**changes))
    assert scored["repetition"] == pytest.approx(score), why


def test_repetition_of_elements_beyond_the_page() -> None:
    asked = Asked(RECEIPT.select(("items",)))
    task = Task(asked, {}, tuple(page_of("TEA", "TEA")))
    element = '{"description":"TEA"}'
    for count, score in ((1, 0.0), (2, 0.0), (4, -0.5), (20, -0.9)):
        text = f'{{"items":[{",".join([element] * count)}]}}'
        assert scores(task, text)["repetition"] == pytest.approx(score)


def test_repetition_of_what_is_no_record_is_trls() -> None:
    assert scores(TASKS["receipt"], "abababab")["repetition"] == pytest.approx(-4 / 7)
    assert scores(TASKS["receipt"], "")["repetition"] == 0.0


def test_a_decoder_gives_back_the_tags_that_trls_text_lacks() -> None:
    """TRL decodes without special tokens, and then entity tokens are no answer."""
    task = TASKS["passport in entity tokens"]
    bare = "L898902C3UTOERIKSSON"
    section = load_profile("small").rewards
    decoding, _ = make_rewards(section, end_token_ids=[END], decode=Letters())
    columns: dict[str, Any] = {
        "prompts": [""],
        "completions": [bare],
        "completion_ids": [token_ids(gold(task))],
        "task": [encode_task(task)],
    }
    assert REWARDS[0](**columns) == [0.0]
    for restored in (decoding, pickle.loads(pickle.dumps(decoding))):  # noqa: S301 - our own
        assert [reward(**columns)[0] for reward in restored[:2]] == [1.0, 1.0]


class Letters:
    """Decodes `token_ids`."""

    def __call__(self, token_ids: Any, /) -> str:
        return "".join(chr(token - 10) for token in token_ids)


def test_the_tokenizers_decoder_keeps_special_tokens() -> None:
    class Tokenizer:
        def decode(self, ids: list[int], **options: bool) -> str:
            assert options == {"skip_special_tokens": False, "clean_up_tokenization_spaces": False}
            return f"{ids}"

    assert TokenizerDecode(Tokenizer())((1, 2)) == "[1, 2]"


@pytest.mark.parametrize(
    ("completion", "text"),
    [
        ("a", "a"),
        ([{"role": "assistant", "content": "a"}], "a"),
        ([{"content": [{"type": "text", "text": "a"}, {"type": "image"}]}], "a"),
        ([{"content": None}], ""),
        ([{"role": "assistant"}], ""),
        ([], ""),
    ],
)
def test_completions_in_every_shape(completion: Any, text: str) -> None:
    assert text_of(completion) == text


def test_columns_of_different_lengths_are_our_bug() -> None:
    with pytest.raises(ValueError, match="shorter"):
        REWARDS[0](prompts=["", ""], completions=["", ""], completion_ids=[[]], task=["", ""])


def test_weights_of_the_small_profile_are_those_of_the_rewards() -> None:
    assert len(WEIGHTS) == len(REWARDS) == len(RewardsSection.model_fields)
