"""present, absent, order, baseline: each row says why; ours and the naive way never differ."""

import random
import re
from typing import Any

import pytest

from bench.unit_tests_naive import near_starts, partial_ratio, passes
from extraction.unit_tests import Page, read_case
from extraction.unit_tests.baseline import repeats_at_end
from extraction.unit_tests.near import starts
from extraction.unit_tests.normalise import normalise
from extraction.unit_tests.presence import is_in

WHERE = {"pdf": "a.pdf", "page": 1, "id": "a"}


def passed(content: str, **fields: Any) -> bool:
    verdict = read_case(WHERE | fields).run(content)
    assert bool(verdict.why) != verdict.passed, "a reason exactly where it fails"
    return verdict.passed


@pytest.mark.parametrize(
    ("written", "compared", "why"),
    [
        ("a  b\n\tc", "a b c", "one space"),
        ("a<br>b<br/>c", "a b c", "both breaks"),
        ("a<br />b", "a<br />b", "with a space it is none"),
        ("**a** __b__ *c* _d_", "a b c d", "emphasis"),
        ("<b>a</b> <i>b</i> <em>c</em>", "a b <em>c</em>", "tags of emphasis, but not every one"),
        ("* one\n* two", "* one * two", "bullets are no emphasis"),
        ("2 * 3 * 4", "2 3 4", "but two stars on a line are"),
        ("snake_case_name", "snakecasename", "and so are two dashes"),
        ("\u2018a\u2019 \u201cb\u201d", "'a' \"b\"", "plain quotes"),
        ("\u2013 \u2014 \u2011 \u2212", "- - - -", "plain hyphens"),
        ("e\u0301", "\u00e9", "composed"),
        ("\u00b5m", "\u03bcm", "micro is mu"),
    ],
)
def test_normalise(written: str, compared: str, why: str) -> None:
    assert normalise(written) == compared, why


@pytest.mark.parametrize(
    ("content", "fields", "present", "why"),
    [
        ("The cat sat.", {"text": "cat sat"}, True, "as it is"),
        ("The cat sat.", {"text": "Cat"}, False, "case counts"),
        ("The cat sat.", {"text": "Cat", "case_sensitive": False}, True, "unless it does not"),
        ("The cat sat.", {"text": "cot sat", "max_diffs": 0}, False, "no difference is allowed"),
        ("The cat sat on.", {"text": "the cot sat on", "max_diffs": 4}, True, "some are"),
        ("The **cat**\nsat.", {"text": "cat sat"}, True, "across emphasis and lines"),
        ("first and last", {"text": "first", "first_n": 5}, True, "in the first five"),
        ("first and last", {"text": "first", "first_n": 4}, False, "not in the first four"),
        ("first and last", {"text": "last", "last_n": 4}, True, "in the last four"),
        ("first and last", {"text": "and", "last_n": 4}, False, "not in them"),
        ("first and last", {"text": "firstlast", "first_n": 5, "last_n": 4}, True, "both ends"),
        ("first and last", {"text": "and", "first_n": 0}, True, "0 narrows nothing"),
        ("", {"text": "a b"}, False, "an empty page has nothing"),
        ("\n", {"text": "a b"}, False, "nor has a blank one"),
        ("a b", {"text": "a b c d e f"}, False, "a page inside the text is not the text"),
        ("12", {"text": "123", "max_diffs": 1}, True, "unless it lacks no more than allowed"),
    ],
)
def test_present_and_absent(content: str, fields: dict[str, Any], present: bool, why: str) -> None:
    assert passed(content, type="present", **fields) is present, why
    assert passed(content, type="absent", **fields) is not present, why


@pytest.mark.parametrize(
    ("content", "fields", "expected", "why"),
    [
        ("one two three", {"before": "one", "after": "three"}, True, "in order"),
        ("one two three", {"before": "three", "after": "one"}, False, "out of order"),
        ("three one three", {"before": "three", "after": "one"}, True, "any place counts"),
        ("one two", {"before": "one", "after": "three"}, False, "one is missing"),
        ("one one", {"before": "one", "after": "one"}, True, "the same text twice"),
        ("one", {"before": "one", "after": "one"}, False, "and once"),
        ("hxllo world", {"before": "hello", "after": "wrld", "max_diffs": 1}, True, "edits"),
        ("hxllo world", {"before": "hello", "after": "world"}, False, "no edit is allowed"),
    ],
)
def test_order(content: str, fields: dict[str, Any], expected: bool, why: str) -> None:
    assert passed(content, type="order", **fields) is expected, why


@pytest.mark.parametrize(
    ("content", "fields", "expected", "why"),
    [
        ("A page.", {}, True, "text"),
        ("", {}, False, "nothing"),
        ("--- | ...", {}, False, "no letter and no digit"),
        ("It goes on" + " and" * 31, {}, False, "a piece of four letters, 31 times"),
        ("It goes on" + " and" * 30, {}, True, "30 times are allowed"),
        ("It goes on" + " and" * 31 + ".", {}, True, "only the end is looked at"),
        ("Dots" + "." * 40, {"max_repeats": 50}, True, "more may be allowed"),
        ("It goes" + " abcdef" * 60, {}, True, "a piece of more than five is none"),
        ("Chinese 中", {}, False, "another script"),
        ("Kana あ", {}, False, "another script"),
        ("Smile 😀", {}, False, "an emoji"),
        ("Flag 🇨", {}, False, "half a flag"),
        ("Greek λ, Persian پ, arrows →", {}, True, "scripts that are allowed"),
        ("Chinese 中", {"check_disallowed_characters": False}, True, "unless it is allowed"),
        ("", {"max_length": 10}, True, "blank"),
        ("a page number 7", {"max_length": 10}, False, "12 letters and digits are not blank"),
        ("中中", {"max_length": 10}, True, "nothing else is checked of a blank page"),
        ("![a long text](a.png)", {"max_length": 5}, False, "alt text counts"),
        (
            "![a long text](a.png)",
            {"max_length": 5, "max_length_skips_image_alt_tags": True},
            True,
            "unless it does not",
        ),
    ],
)
def test_baseline(content: str, fields: dict[str, Any], expected: bool, why: str) -> None:
    assert passed(content, type="baseline", **fields) is expected, why


def test_repeats_at_the_end() -> None:
    assert [repeats_at_end("abab", size, 9) for size in (1, 2, 3)] == [1, 2, 1]
    assert repeats_at_end("x \n\t y" + "z" * 9, 1, 5) == 5, "counted up to the limit"
    assert repeats_at_end("ab", 3, 9) == 0


WORDS = ["the", "cat", "sat", "on", "a", "mat", "then", "it", "ate", "rice"]


def test_images_are_those_of_the_pattern() -> None:
    rng = random.Random(5)
    for _ in range(2000):
        content = "".join(rng.choices(["![", "](", ")", "]", "a", "\n"], k=12))
        for most in range(6):
            letters = sum(map(str.isalnum, re.sub(r"!\[.*?\]\(.*?\)", "", content)))
            fields = {"max_length": most, "max_length_skips_image_alt_tags": True}
            assert passed(content, type="baseline", **fields) is (letters <= most), content


def garbled(rng: random.Random, text: str, edits: int) -> str:
    letters = list(text)
    for _ in range(edits):
        at = rng.randrange(len(letters) + 1)
        letters[at : at + rng.randint(0, 1)] = rng.choice(("", "x", "e ", "t"))
    return "".join(letters)


def sentence(rng: random.Random, words: int) -> str:
    return " ".join(rng.choices(WORDS, k=words))


def test_presence_is_that_of_the_naive_way() -> None:
    rng, verdicts = random.Random(1), []
    for _ in range(600):
        wanted = sentence(rng, rng.randint(1, 14))
        most = rng.randint(0, 6)
        parts = [sentence(rng, rng.randint(0, 40)), garbled(rng, wanted, rng.randint(0, 2 * most))]
        text = " ".join([*parts, sentence(rng, rng.randint(0, 40))])[: rng.choice((20, 9999))]
        if text and len(text) >= len(wanted) - most:
            expected = partial_ratio(wanted, text) >= 1.0 - most / len(wanted)
            assert is_in(wanted, text, most) is expected, (wanted, text, most)
            verdicts.append(expected)
    assert 100 < sum(verdicts) < len(verdicts) - 100, "both verdicts occur"


def test_places_are_those_of_the_whole_table() -> None:
    rng, found = random.Random(2), 0
    for _ in range(300):
        wanted = sentence(rng, rng.randint(1, 9))
        most = rng.randint(0, min(4, len(wanted) // 2))
        text = " ".join([sentence(rng, 9), garbled(rng, wanted, rng.randint(0, 5)), "end " * 3])
        ours, naive = starts(wanted, text, most), near_starts(wanted, text, most)
        assert bool(ours) == bool(naive), (wanted, text, most)
        if most == 0 and naive:
            assert (ours[0], ours[-1]) == (naive[0], naive[-1])
        found += bool(ours)
    assert 50 < found < 290


def test_a_page_may_be_tested_by_many() -> None:
    page = Page("# Title\n\nText with \\(x\\).")
    cases = [
        read_case(WHERE | {"type": "present", "text": "Title"}),
        read_case(WHERE | {"type": "math", "math": "x"}),
        read_case(WHERE | {"type": "table", "cell": "x"}),
    ]
    assert [case.check(page).passed for case in cases] == [True, True, False]
    assert [passes(case, page.content) for case in cases] == [True, True, False]
