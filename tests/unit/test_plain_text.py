"""A plain text as lines whose offsets are those of the text."""

import time

import pytest

from db.page_lines import lines_of, stored_lines
from db.tables import Page
from extraction.classify import TypeClassifier
from extraction.document_types.catalogue import BUILT_IN
from extraction.errors import UnreadableDocument
from extraction.evidence import EvidenceFinder
from extraction.extract import ExtractRequest
from extraction.lines import rows
from extraction.plain_text import is_plain_text, read_text, text_lines, text_of
from tests.factories_extract import BLIND, PASSPORT, RECEIPT, extractor
from tests.factories_lines import LOWER, UPPER, page_of
from tests.fakes import FakeEngine

TEXT = "  CORNER STORE\r\n\n25/12/2018\tTill 3\n\x07Total  RM9.00\n"


def test_every_line_knows_where_it_stands() -> None:
    lines = text_lines(TEXT)
    assert [line.text for line in lines] == ["CORNER STORE", "25/12/2018 Till 3", "Total  RM9.00"]
    for line in lines:
        there = TEXT[line.start : line.start + len(line.text)]
        assert there.replace("\t", " ") == line.text
        assert 0 <= line.box.left < line.box.right <= 1
    assert [[line.text] for line in lines] == [[line.text for line in row] for row in rows(lines)]


def test_lines_come_back_as_they_were_stored() -> None:
    lines = text_lines(TEXT)
    (stored,) = stored_lines(lines).values()
    again = lines_of([Page(index=0, lines=stored)])
    assert again is not None
    assert [(line.text, line.start) for line in again] == [
        (line.text, line.start) for line in lines
    ]
    assert text_of(again) == text_of(lines) == "CORNER STORE\n\n25/12/2018 Till 3\nTotal  RM9.00"
    assert is_plain_text(lines)
    assert not is_plain_text(page_of("a"))
    assert "start" not in stored_lines(page_of("a"))[0][0]


def test_a_value_is_found_by_its_offsets() -> None:
    finder = EvidenceFinder(text_lines(TEXT))
    total = finder.find("RM9.00", RECEIPT.field("total"))
    assert total is not None
    assert TEXT[total.start : total.end] == "RM9.00"
    date = finder.find("25-12-2018", RECEIPT.field("transaction_date"))
    assert date is not None
    assert TEXT[date.start : date.end] == "25/12/2018"
    address = "12 Hill Road,\n  Ipoh,\n  Perak\n"
    across = EvidenceFinder(text_lines(address)).find(
        "12 Hill Road, Ipoh, Perak", RECEIPT.field("merchant_address")
    )
    assert across is not None
    assert address[across.start : across.end] == address.strip()


@pytest.mark.parametrize("content", [b"", b" \n\t", b"\xff\xfe", b"caf\xe9"])
def test_bytes_that_are_no_text(content: bytes) -> None:
    with pytest.raises(UnreadableDocument):
        read_text(content)


async def test_every_type_reads_a_text() -> None:
    engine = FakeEngine('{"total":"RM9.00"}')
    await engine.start()
    request = ExtractRequest(TEXT.encode(), RECEIPT, is_text=True)
    found = await extractor(engine).extract(request)
    assert found.record["total"] == "9.00"
    assert found.model_version == "fake-1"
    assert "Total  RM9.00" in engine.prompts[0].messages[1].text


async def test_a_passport_s_zone_is_found_in_a_text() -> None:
    engine = FakeEngine('{"surname":"ERIKSSON"}')
    await engine.start()
    text = f"ERIKSSON\n{UPPER}\n{LOWER}\n"
    request = ExtractRequest(text.encode(), PASSPORT, is_text=True)
    found = await extractor(engine).extract(request)
    assert found.record["document_number"] == "L898902C3"
    evidence = found.fields["document_number"].evidence
    assert evidence is not None


async def test_a_document_from_a_text_is_the_text() -> None:
    engine = FakeEngine()
    await engine.start()
    text = "A heading\n\nA first paragraph, in English, of the kind that is read here.\n"
    request = ExtractRequest(text.encode(), BUILT_IN["document"], is_text=True)
    found = await extractor(engine, traits=BLIND).extract(request)
    (page,) = found.record["pages"]
    assert page["natural_text"] == text.strip()
    assert page["is_rotation_valid"] is None
    assert found.warnings == ("text-from-lines",)


def test_a_receipt_s_text_is_told_by_its_words() -> None:
    """`auto` was fitted on pages; laid out in a fixed width a text looks enough like one."""
    receipt = (
        "CORNER STORE SDN BHD\n12 HILL ROAD, IPOH\nTEL: 05-123 4567\nTAX INVOICE\n"
        "INVOICE NO: 00123  DATE: 25/12/2018 20:13\n\nMILK 1L       2 X 4.50     9.00\n"
        "BREAD         1 X 3.20     3.20\n\nSUBTOTAL                  12.20\nTOTAL RM  12.20\n"
        "CASH                      20.00\nCHANGE                     7.80\n\nTHANK YOU\n"
    )
    letter = (
        "Dear Anna,\n\nThank you for your letter. We have thought about what you wrote for a long "
        "while,\nand my brother believes, as I do, that the house by the lake should stay in the "
        "family.\nPlease tell your mother that we shall come in June.\n\nYours, Karl\n"
    )
    classifier = TypeClassifier.load()
    assert classifier.decide(text_lines(receipt)).name == "receipt"
    assert classifier.decide(text_lines(letter)).name == "unknown"
    assert classifier.decide(text_lines(f"ERIKSSON\n{UPPER}\n{LOWER}")).name == "passport"


def test_a_long_text_is_read_quickly() -> None:
    lines = text_lines("a line of words\n" * 12_000)
    began = time.process_time()
    assert len(rows(lines)) == 12_000
    EvidenceFinder(lines)
    assert time.process_time() - began < 2
