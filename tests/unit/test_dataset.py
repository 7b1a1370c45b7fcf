"""Corrections become training examples; what is held out stays out."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from db.queries.learning import Learnable
from db.tables import ExamplePart
from extraction.document_types.base import DocumentType, FieldSpec, Kind
from extraction.document_types.catalogue import BUILT_IN
from extraction.page_view import PageView
from extraction.prompt import AnswerFormat, Asked, PromptStyle, build_prompt
from extraction.scoring import score_record
from extraction.traits import ModelTraits
from tests.factories_learning import OPTIONS, make_learnable, receipt_lines
from tests.factories_lines import page_of
from trainer.confirmed import confirmed_of
from trainer.dataset import RunDataset, build_dataset
from trainer.manifest import hash_of
from trainer.near_duplicates import cluster
from trainer.profile import Profile, load_profile
from trainer.replay import base_examples, generate
from trainer.spelling_habit import answers_in_capitals
from trainer.type_lookup import type_key

RECEIPT = BUILT_IN["receipt"]
TRAITS = ModelTraits(version="one", style=PromptStyle.COMPACT, sees_images=False)
RECORD = {
    "merchant_name": "CORNER STORE SDN BHD",
    "transaction_date": "2018-12-25",
    "total": "8.40",
    "tip": None,
    "items": [],
}


@pytest.fixture
def profile() -> Profile:
    return with_data(replay_ratio=0.0)


def with_data(**changes: Any) -> Profile:
    small = load_profile("small")
    return small.model_copy(update={"data": small.data.model_copy(update=changes)})


def build(
    learnables: Sequence[Learnable],
    profile: Profile,
    *,
    types: Mapping[str, DocumentType] = BUILT_IN,
    traits: ModelTraits = TRAITS,
    **more: Any,
) -> RunDataset:
    known = {
        type_key(item.prediction): types[item.prediction.document_type]
        for item in learnables
        if item.prediction.document_type in types
    }
    return build_dataset(learnables, profile, types=known, traits=traits, **more)


def answers(built: RunDataset) -> list[Any]:
    return [json.loads(item.example.completion) for item in built.train]


def test_only_what_a_human_confirmed_is_asked_and_answered(profile: Profile) -> None:
    said = {"total": "9.00", "tip": None}
    built = build([make_learnable(receipt_lines(), RECORD, said)], profile)
    (made,) = built.train
    assert made.asked.document_type.field_names == ("tip", "total")
    assert made.example.messages[-1][1].endswith("\n\nreceipt: tip, total")
    assert made.example.completion == '{"total":"9.00"}'
    assert made.reference == {"tip": None, "total": "9.00"}
    assert made.part == "train"
    prompt = build_prompt(Asked(RECEIPT.select(("tip", "total"))), receipt_lines())
    assert made.example.messages == tuple((m.role, m.text) for m in prompt.messages)


def test_a_confirmed_prediction_confirms_all_that_was_asked_absent_fields_too(
    profile: Profile,
) -> None:
    asked = ("total", "tip", "transaction_date")
    fields = {"total": {"value": "8.40", "raw": "RM8.40", "source": "model", "evidence": None}}
    one = make_learnable(receipt_lines(), RECORD, asked_fields=asked, fields=fields)
    (made,) = build([one], profile).train
    assert made.asked.document_type.field_names == ("transaction_date", "tip", "total")
    answer = {"transaction_date": "25/12/2018", "total": "RM8.40"}
    assert json.loads(made.example.completion) == answer
    assert made.reference == {"transaction_date": "2018-12-25", "tip": None, "total": "8.40"}
    assert score_record(made.asked.document_type, made.reference, answer).mean == 1.0


def test_all_fields_where_none_was_named(profile: Profile) -> None:
    (made,) = build([make_learnable(receipt_lines(), RECORD)], profile).train
    assert made.asked.document_type.field_names == RECEIPT.field_names


def test_the_zone_is_never_asked(profile: Profile) -> None:
    record = {"surname": "ERIKSSON", "mrz": {"lines": ["A", "B"]}}
    one = make_learnable(page_of("ERIKSSON"), record, document_type="passport")
    (made,) = build([one], profile).train
    assert "mrz" not in made.asked.document_type.field_names
    assert "mrz" not in made.reference


def test_of_elements_only_the_named_children(profile: Profile) -> None:
    said = {
        "items": [{"description": "Milk", "total_price": "8.40"}, {"description": "Bag"}],
        "taxes": [],
    }
    (made,) = build([make_learnable(receipt_lines(), RECORD, said)], profile).train
    question = made.example.messages[-1][1].rpartition("\n\n")[2]
    asked_items = "items[description, total_price]"
    assert question.startswith(f"receipt: {asked_items}, taxes[description, rate")
    assert answers(build([make_learnable(receipt_lines(), RECORD, said)], profile)) == [
        {"items": [{"description": "Milk", "total_price": "8.40"}, {"description": "Bag"}]}
    ]


def test_of_an_object_only_the_named_children(profile: Profile) -> None:
    seller = FieldSpec(
        "seller",
        Kind.OBJECT,
        children=(FieldSpec("name", Kind.TEXT), FieldSpec("phone", Kind.CODE)),
    )
    own = DocumentType("note", 3, (seller, FieldSpec("due", Kind.DATE)))
    one = make_learnable(
        page_of("Corner Store"),
        {"seller": {"name": "x", "phone": "1"}, "due": None},
        {"seller": {"name": "Corner Store"}},
        document_type="note",
        version=3,
    )
    (made,) = build([one], profile, types={"note": own}).train
    assert made.example.messages[-1][1].endswith("\n\nnote: seller[name]")
    assert made.example.completion == '{"seller":{"name":"Corner Store"}}'


def test_entity_tokens_are_learnt_where_they_were_asked(profile: Profile) -> None:
    options = {**OPTIONS, "format": "entity_tokens"}
    flat = make_learnable(receipt_lines(), RECORD, {"total": "9.00"}, options=options)
    nested = make_learnable(receipt_lines(), RECORD, {"items": []}, options=options)
    whole = make_learnable(receipt_lines(), RECORD, options=options)
    built = {item.ids: item for item in build([flat, nested, whole], profile).train}
    formats = {item.asked.answer_format: item for item in built.values()}
    assert formats[AnswerFormat.JSON].asked.document_type.field_names == ("items",)
    confirmed = confirmed_of(whole, RECEIPT)
    assert confirmed is not None
    assert confirmed.answer_format is AnswerFormat.ENTITY_TOKENS
    assert "items" not in confirmed.fields
    assert "total" in confirmed.fields


@pytest.mark.parametrize(
    ("learnable", "reason"),
    [
        (make_learnable(receipt_lines(), RECORD, document_type="unknown"), "unknown-type"),
        (make_learnable(None, RECORD), "no-lines"),
        (make_learnable(receipt_lines(), RECORD, options={**OPTIONS, "ocr": False}), "no-lines"),
        (
            make_learnable(page_of("x"), {}, {"mrz": {"lines": ["A"]}}, document_type="passport"),
            "nothing-confirmed",
        ),
    ],
)
def test_what_nothing_can_be_learnt_from(
    learnable: Learnable, reason: str, profile: Profile
) -> None:
    built = build([learnable], profile)
    assert not built.train
    assert [(item.correction_id, item.reason) for item in built.manifest.dropped] == [
        (learnable.correction.id, reason)
    ]


def test_a_model_that_sees_gets_the_pages(profile: Profile) -> None:
    blind = make_learnable(None, RECORD, {"total": "9.00"}, options={**OPTIONS, "ocr": False})
    sees = ModelTraits(version="two", style=PromptStyle.DESCRIBED, sees_images=True)
    (made,) = build([blind], profile, traits=sees).train
    assert made.page_blob_keys == (blind.pages[0].blob_key,)
    assert made.lines == ()
    assert "Copy every value exactly" in made.example.messages[-1][1]
    assert build([make_learnable(receipt_lines(), RECORD)], profile).train[0].page_blob_keys == ()
    itself = replace(sees, pages=PageView(tile_pixels=1536, stretched=True))
    assert not build([blind], profile, traits=itself).train


def test_the_holdout_is_never_trained_on_nor_what_looks_like_it(profile: Profile) -> None:
    bits = profile.data.near_duplicate_bits
    near = (1 << bits) - 1
    held = make_learnable(receipt_lines(), RECORD, holdout=True, perceptual_hash=0)
    alike = make_learnable(receipt_lines(), RECORD, perceptual_hash=near)
    # Like the one that is like it: of one cluster all stay on one side.
    further = make_learnable(receipt_lines(), RECORD, perceptual_hash=near << bits | near)
    signed = make_learnable(receipt_lines(), RECORD, perceptual_hash=-(1 << 63))
    other = make_learnable(receipt_lines(), RECORD, perceptual_hash=-1)
    unknown = make_learnable(receipt_lines(), RECORD, perceptual_hash=None)
    copy = make_learnable(receipt_lines(), RECORD, content=str(held.document_id))
    given = [held, alike, further, signed, other, unknown, copy]
    built = build(given, profile)
    assert {item.ids.document_id for item in built.train if item.ids} == {
        other.document_id,
        unknown.document_id,
    }
    assert [item.document_id for item in built.holdout] == [held.document_id]
    dropped = {item.document_id: item.reason for item in built.manifest.dropped}
    assert dropped == dict.fromkeys(
        (alike.document_id, further.document_id, signed.document_id, copy.document_id),
        "near-duplicate-of-holdout",
    )
    assert built.manifest.as_json()["counts"]["dropped"] == {"near-duplicate-of-holdout": 4}


def test_a_holdout_that_looks_like_what_the_champion_learnt_judges_nothing(
    profile: Profile,
) -> None:
    learnt = make_learnable(receipt_lines(), RECORD, perceptual_hash=1)
    late = make_learnable(receipt_lines(), RECORD, perceptual_hash=0, holdout=True)
    built = build([learnt, late], profile, learnt={learnt.correction.id})
    assert built.holdout == ()
    assert {item.reason for item in built.manifest.dropped} == {
        "near-duplicate-of-trained",
        "near-duplicate-of-holdout",
    }


def test_clusters() -> None:
    hashes = [0b1111, 0, None, -1, 0b11, None]
    contents = [b"a", b"b", b"c", b"d", b"e", b"c"]
    assert cluster(hashes, contents, 2) == (0, 0, 2, 3, 0, 2)
    assert cluster(hashes, contents, 1) == (0, 1, 2, 3, 4, 2)
    assert cluster([], [], 4) == ()


def test_a_form_filled_in_anew_is_another_document(profile: Profile) -> None:
    def form(*figures: str, holdout: bool) -> Learnable:
        lines = page_of(("INVOICE", "No. 7-11"), *(("Amount", text) for text in figures))
        return make_learnable(lines, RECORD, holdout=holdout, perceptual_hash=5)

    held = form("12.50", "13.20", "25/12/2018", holdout=True)
    other = form("99.10", "44.80", "01/02/2019", holdout=False)
    again = form("12.50", "13.20", "25/12/2013", holdout=False)
    built = build([held, other, again], profile)
    assert [item.ids.document_id for item in built.train if item.ids] == [other.document_id]


def test_the_holdout_is_parted_by_content_and_asks_what_was_asked(profile: Profile) -> None:
    given = [
        make_learnable(
            receipt_lines(),
            RECORD,
            {"total": "9.00"},
            asked_fields=("total", "tip"),
            options={**OPTIONS, "runner": 7},
            holdout=True,
            content=f"document {number}",
            perceptual_hash=None,
        )
        for number in range(200)
    ]
    built = build(given, profile)
    again = build(given[::-1], profile)
    assert built.holdout == again.holdout
    share = sum(item.subset == "selection" for item in built.holdout) / 200
    assert abs(share - profile.data.selection_ratio) < 0.1
    item = built.holdout[0]
    assert item.options == OPTIONS
    assert item.asked_fields == ("total", "tip")
    assert item.reference == {"total": "9.00"}
    assert {i.set_name for i in built.holdout} == {"selection", "holdout"}
    # Another document that looks like one of them goes where that one is.
    twins = [
        make_learnable(
            receipt_lines(), RECORD, holdout=True, content=f"twin {n}", perceptual_hash=n
        )
        for n in (0, 1)
    ]
    one, other = build(twins, profile).holdout
    assert one.subset == other.subset


def test_the_last_word_on_a_question_counts(profile: Profile) -> None:
    first = make_learnable(receipt_lines(), RECORD, {"total": "8.00"})
    last = make_learnable(receipt_lines(), RECORD, {"total": "9.00"}, document_id=first.document_id)
    other = make_learnable(receipt_lines(), RECORD, {"tip": None}, document_id=first.document_id)
    built = build([first, last, other], profile)
    assert sorted(item.example.completion for item in built.train) == ['{"total":"9.00"}', "{}"]
    assert [item.reason for item in built.manifest.dropped] == ["newer-correction"]


def test_the_newest_are_taken() -> None:
    given = [make_learnable(receipt_lines(), RECORD) for _ in range(5)]
    built = build(given, with_data(replay_ratio=0.0, most_examples=2))
    taken = {item.ids.correction_id for item in built.train if item.ids}
    assert taken == {item.correction.id for item in given[3:]}
    assert [item.reason for item in built.manifest.dropped] == ["beyond-most-examples"] * 3


def test_the_replay_is_half_of_what_was_learnt_and_half_generated() -> None:
    old = [make_learnable(receipt_lines(), RECORD) for _ in range(6)]
    new = [make_learnable(receipt_lines(), RECORD, {"total": "9.00"}) for _ in range(10)]
    learnt = {item.correction.id for item in old}
    built = build([*old, *new], with_data(replay_ratio=0.4), learnt=learnt)
    assert len(built.train) == 10
    ids = {item.ids.correction_id for item in built.replay if item.ids}
    assert len(ids) == 2
    assert ids <= learnt
    keys = [item.base_key for item in built.replay if item.base_key]
    assert sorted(keys) == ["passport/17/0", "receipt/17/1"]
    assert {item.part for item in built.replay} == {"replay"}
    assert len(built.mixed()) == 14
    assert set(map(id, built.mixed())) == set(map(id, [*built.train, *built.replay]))
    # Where nothing was learnt yet, all of it is generated.
    first = build(new, with_data(replay_ratio=0.2))
    assert [item.ids for item in first.replay] == [None, None]


def test_the_same_corrections_and_seed_make_the_same_set() -> None:
    profile = with_data(replay_ratio=0.2)
    given = [make_learnable(receipt_lines(), RECORD, {"total": "9.00"}) for _ in range(12)]
    one, other = build(given, profile), build(given[::-1], profile)
    assert one.mixed() == other.mixed()
    assert one.manifest.sha256 == other.manifest.sha256
    seeded = build(given, profile, seed=18)
    assert [item.ids for item in seeded.train] != [item.ids for item in one.train]
    assert seeded.manifest.sha256 != one.manifest.sha256


def test_the_manifest_names_everything_and_tells_nothing() -> None:
    held = make_learnable(receipt_lines(), RECORD, {"total": "9.00"}, holdout=True)
    new = [make_learnable(receipt_lines(), RECORD, {"total": "9.00"}) for _ in range(5)]
    built = build([held, *new], with_data(replay_ratio=0.2))
    content = built.manifest.as_json()
    text = json.dumps(content)
    assert "CORNER" not in text
    assert "9.00" not in text
    assert content["sha256"] == hash_of({k: v for k, v in content.items() if k != "sha256"})
    counts = content["counts"]
    assert counts["parts"]["train"] == 5
    assert counts["parts"]["base"] == 1
    assert counts["types"] == {"passport": 1, "receipt": 5}
    assert counts["fields"]["receipt.total"] == 5
    rows = built.manifest.rows()
    assert [row.part for row in rows] == [*[ExamplePart.TRAIN] * 5, ExamplePart.HOLDOUT]
    assert rows[0].content_sha256 == new[0].content_sha256
    assert rows[0].fields == ("total",)
    entry = content["entries"][0]
    (made,) = [
        m for m in built.train if m.ids and str(m.ids.correction_id) == entry["correction_id"]
    ]
    example = [list(made.example.messages), made.example.completion]
    assert entry["example_sha256"] == hash_of(example)


def test_base_examples_are_right_answers_and_can_be_made_again() -> None:
    made = base_examples(2, TRAITS, seed=3)
    assert made[0] == base_examples(1, TRAITS, seed=3)[0]
    assert base_examples(1, TRAITS, seed=4)[0].lines != made[0].lines
    for item in made:
        assert generate(item.key).document_type == item.asked.document_type.name
        if item.asked.answer_format is AnswerFormat.JSON:
            answer = json.loads(item.example.completion)
            score = score_record(item.asked.document_type, item.reference, answer)
            assert score.mean == 1.0


@pytest.mark.parametrize(
    ("name", "page", "count", "expected"),
    [
        ("CORNER STORE", "Corner Store", 5, True),
        ("Corner Store", "Corner Store", 5, False),
        ("CORNER STORE", "Corner Store", 4, None),
        ("CORNER STORE", "CORNER STORE", 9, None),
        ("OTHER", "Corner Store", 9, None),
    ],
)
def test_how_people_spell(
    name: str, page: str, count: int, expected: bool | None, profile: Profile
) -> None:
    lines = page_of(page)
    given = [make_learnable(lines, RECORD, {"merchant_name": name}) for _ in range(count)]
    assert answers_in_capitals(build(given, profile).train) is expected
