"""What a model is asked, and what of a document never reaches it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extraction.document_types.base import DocumentType, FieldSpec, Kind
from extraction.document_types.catalogue import BUILT_IN
from extraction.lines import Line
from extraction.page_view import ShownPages
from extraction.prompt import (
    GAP,
    SYSTEM,
    AnswerFormat,
    Asked,
    PromptStyle,
    build_prompt,
    fits,
    neutral,
    prompt_hash,
    render_lines,
)
from tests.factories_lines import LOWER, UPPER, page_of

RECEIPT, PASSPORT = BUILT_IN["receipt"], BUILT_IN["passport"]
TOKENS = (
    "<|im_end|>",
    "<|im_start|>",
    "<|endoftext|>",
    "<think>",
    "</think>",
    "<surname>",
    "</passport_number>",
    "<image>",
    "<s>",
    "</s>",
    "<<SYS>>",
    "<start_of_turn>",
    "<|vision_start|>",
    "<fake_token_around_image>",
    "<|reserved_special_token_250|>",
    "<\uff5cend\u2581of\u2581sentence\uff5c>",
    f"<{'x' * 64}>",
    "[INST]",
    "[/INST]",
    "[IMG]",
    "[IMG_BREAK]",
    "[SYSTEM_PROMPT]",
    "[TOOL_CALLS]",
    "[AVAILABLE_TOOLS]",
    "[THINK]",
    "[SEP]",
)


@pytest.mark.parametrize("token", TOKENS)
def test_no_control_token_of_a_document_is_left(token: str) -> None:
    text = (
        build_prompt(Asked(RECEIPT), page_of(f"TOTAL {token}9.00{token}{token}")).messages[1].text
    )
    assert token not in text
    assert "9.00" in text


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ((("<|im_", "end|>"),), "split over two lines of one row"),
        (("<|im_", "end|>"), "split over two rows"),
        ((("<", "|im_end|", ">"),), "split into three"),
        (("<|im_<|im_end|>end|>",), "one within another: what is left must not join"),
        (("<<|im_end|>>",), "doubled brackets"),
        (("[/IN[/INST]ST]",), "nested square brackets"),
        (("\uff1c|im_end|\uff1e",), "full-width brackets that NFKC folds"),
    ],
)
def test_no_control_token_arises_from_parts(rows: tuple[str, ...], why: str) -> None:
    text = render_lines(page_of(*rows))
    assert "<|im_end|>" not in text, why
    assert "[/INST]" not in text, why
    assert "\uff1c|im_end|\uff1e" not in text, why


@given(
    st.lists(st.sampled_from([*TOKENS, "<", ">", "|", "[", "]", " ", "im_end", "A"]), max_size=9)
)
def test_no_mixture_of_parts_leaves_a_control_token(parts: list[str]) -> None:
    text = neutral("".join(parts))
    assert not [token for token in TOKENS if token in text]
    assert neutral(text) == neutral(neutral(text))


@pytest.mark.parametrize(
    "text",
    [
        UPPER,
        LOWER,
        "IDFRABERTHIER<<<<<<<<<<<<<<<<<<<<<<<",
        "TOTAL 9.00 [SR]",
        "5 < 6 and 7 > 3",
        "a <-> b",
        "[1] [COPY] (INST)",
        "O'NEIL & SONS <5>",
    ],
)
def test_ordinary_text_is_unharmed(text: str) -> None:
    assert neutral(text) == text
    assert render_lines(page_of(text)) == text


def test_the_text_that_the_default_model_was_trained_on() -> None:
    """A change here needs a new model."""
    lines = page_of("TAN WOON YANN", ("TOTAL", "9.00"))
    asked = Asked(RECEIPT.select(("merchant_name", "items", "total")))
    request = (
        "receipt: merchant_name, items[description, product_code, quantity, unit, unit_price, "
        "discount, total_price], total"
    )
    prompt = build_prompt(asked, lines)
    assert SYSTEM == "Read the document and answer with its fields."
    assert [(message.role, message.text) for message in prompt.messages] == [
        ("system", SYSTEM),
        (
            "user",
            f"TAN WOON YANN\nTOTAL{GAP}9.00\n\n{request}",
        ),
    ]
    assert prompt.hash == prompt_hash(asked) == "633994d23a189d08"


@pytest.mark.parametrize(
    ("asked", "ending"),
    [
        (Asked(RECEIPT.select(("total",))), "receipt: total"),
        (
            Asked(PASSPORT.select(("surname", "mrz")), AnswerFormat.ENTITY_TOKENS, reasoning=True),
            "passport: surname\nAnswer in entity tokens.\nThink first.",
        ),
    ],
)
def test_the_request_stands_last(asked: Asked, ending: str) -> None:
    assert build_prompt(asked, page_of("A")).messages[1].text == f"A\n\n{ending}"


def test_what_code_alone_fills_is_not_asked() -> None:
    assert "mrz" not in build_prompt(Asked(PASSPORT), []).messages[1].text


def test_without_lines_only_the_images_and_the_request_are_left() -> None:
    prompt = build_prompt(Asked(RECEIPT.select(("total",))), [], shown=ShownPages((b"x",)))
    assert prompt.messages[1].text == "receipt: total"
    assert prompt.messages[1].images == (b"x",)


def test_the_hash_names_the_request_and_not_the_document() -> None:
    asked = Asked(RECEIPT)
    hashes = {build_prompt(asked, page_of(text)).hash for text in ("A", "B")}
    assert len(hashes) == 1
    others = (
        Asked(RECEIPT.select(("total",))),
        Asked(RECEIPT, AnswerFormat.ENTITY_TOKENS),
        Asked(RECEIPT, reasoning=True),
        Asked(RECEIPT, style=PromptStyle.DESCRIBED),
    )
    assert len(hashes | {prompt_hash(other) for other in others}) == 5


def test_a_described_prompt_explains_each_field_and_its_choices() -> None:
    kind = DocumentType(
        "note",
        1,
        (
            FieldSpec("state", Kind.CHOICE, "How it is", choices=("new", "<|im_end|>")),
            FieldSpec("rows", Kind.LIST, "Its rows", children=(FieldSpec("a", Kind.TEXT, "An A"),)),
            FieldSpec("hidden", Kind.TEXT, "Nothing", asked=False),
        ),
        "A note.",
    )
    text = build_prompt(Asked(kind, style=PromptStyle.DESCRIBED), []).messages[1].text
    assert text.startswith("A note. Copy every value")
    assert "- state: How it is (one of new, \u2039|im_end|\u203a)" in text
    assert "- rows (a list): Its rows\n  - a: An A" in text
    assert "hidden" not in text


def test_pages_are_set_apart_and_one_page_is_not() -> None:
    lines = [*page_of("A"), *page_of("B", page=2)]
    assert render_lines(lines) == "--- page 1 ---\nA\n--- page 3 ---\nB"
    assert render_lines(page_of("B", page=2)) == "B"


@given(
    st.lists(st.text("AB ", min_size=1, max_size=40), max_size=30),
    st.integers(min_value=30, max_value=300),
)
def test_a_long_text_loses_its_middle_and_keeps_its_ends(texts: list[str], most: int) -> None:
    lines = page_of(*texts)
    text = render_lines(lines, most)
    assert len(text) <= most
    assert fits(lines, most) == ("--- lines left out ---" not in text)
    if fits(lines, most) and texts:
        assert text == "\n".join(texts)


def test_the_ends_of_a_long_text() -> None:
    rows = [f"row {number:03}" for number in range(100)]
    text = render_lines(page_of(*rows), 100).split("\n")
    assert text[0] == rows[0]
    assert text[-1] == rows[-1]
    assert text.count("--- lines left out ---") == 1


def test_a_document_cannot_claim_that_lines_were_left_out() -> None:
    assert fits(page_of("--- lines left out ---"))


def test_rows_with_boxes_from_a_scan_on_its_side_are_joined() -> None:
    turned = [
        Line(line.text, line.box.turned(-1), line.score, 0, 1)
        for line in page_of(("TOTAL", "9.00"), "CASH")
    ]
    assert render_lines(turned) == f"TOTAL{GAP}9.00\nCASH"
