"""The serving sentence on travel documents: the zone beside the answer, and entity tokens."""

import json

from extraction.prompt import AnswerFormat
from tests.factories_extract import BOOKLET, PASSPORT, TILL, run
from tests.factories_lines import LOWER, UPPER, page_of
from tests.fakes import FakeEngine


async def test_a_passport_with_its_zone() -> None:
    answer = {
        "surname": "ERIKSDOTTIR",
        "place_of_birth": "ZENITH",
        "date_of_birth": "12 AUG/AOUT 1974",
        "issuing_authority": "UTOERIKSSON",
    }
    lines = [*BOOKLET, *page_of("ZENITH", top=0.5)]
    found = await run(json.dumps(answer), lines, kind=PASSPORT)
    assert found.record["issuing_authority"] is None, "a piece of the zone"
    assert found.warnings == ("unprinted-values-dropped",)
    assert found.record["mrz"] == {"lines": [UPPER, LOWER]}
    sources = {path: read.source.value for path, read in found.fields.items()}
    assert sources["surname"] == "lines", "as printed, for the zone writes it so"
    assert sources["document_number"] == "mrz"
    assert sources["place_of_birth"] == "model"
    verdicts = {check.name: check.verdict.value for check in found.checks}
    assert verdicts["mrz.composite"] == "pass"
    assert verdicts["agrees.date_of_birth"] == "pass"


async def test_the_zone_alone_needs_no_model() -> None:
    engine = FakeEngine("{}")
    found = await run(engine, BOOKLET, kind=PASSPORT, fields=("mrz",))
    assert found.record == {"mrz": {"lines": [UPPER, LOWER]}}
    assert found.finish_reason == "not-asked"
    assert not engine.prompts


async def test_entity_tokens_are_read_and_written() -> None:
    engine = FakeEngine("<surname>ERIKSSON</surname><date_of_birth>12-08-1974</date_of_birth>")
    found = await run(
        engine,
        BOOKLET[:3],
        kind=PASSPORT,
        fields=("surname", "date_of_birth", "sex"),
        answer_format=AnswerFormat.ENTITY_TOKENS,
    )
    assert found.record == {"surname": "ERIKSSON", "date_of_birth": "1974-08-12", "sex": None}
    assert found.entity_tokens == engine.answer
    birth = found.fields["date_of_birth"]
    assert birth.raw == "12-08-1974"
    assert birth.evidence is not None
    assert birth.evidence.text == "12 AUG/AOUT 1974"
    assert isinstance(engine.samplings[0].grammar, str)


async def test_entity_tokens_with_the_zone_are_whole() -> None:
    found = await run(
        "<surname>ERIKSSON</surname>",
        BOOKLET,
        kind=PASSPORT,
        fields=("surname", "mrz"),
        answer_format=AnswerFormat.ENTITY_TOKENS,
    )
    assert found.entity_tokens == f"<surname>ERIKSSON</surname><mrz>{UPPER}\n{LOWER}</mrz>"


async def test_entity_tokens_leave_nested_fields_out_and_say_so() -> None:
    engine = FakeEngine("<total>RM9.00</total>")
    found = await run(
        engine, TILL, fields=("items", "total"), answer_format=AnswerFormat.ENTITY_TOKENS
    )
    assert found.record == {"items": [], "total": "9.00"}
    assert found.warnings == ("nested-fields-left-out",)
    assert "items" not in engine.prompts[0].messages[1].text
