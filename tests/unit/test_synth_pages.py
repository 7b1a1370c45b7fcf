"""Generated pages without a browser: words, HTML, truth, tests, graphs, shards."""

import io
import json
import random
from pathlib import Path

import pytest
from PIL import Image

from extraction.document_types.document import DOCUMENT
from extraction.document_types.graph import faults_of, triples_of
from extraction.layout import Layout
from extraction.lines import Box, Line
from extraction.markdown.front_matter import TEXT, read_page
from extraction.prompt import PromptStyle
from extraction.traits import ModelTraits
from trainer.rewards.task import decode_task
from trainer.synth.pages.compose import STYLES, compose
from trainer.synth.pages.contact_sheet import contact_sheet
from trainer.synth.pages.facts import RELATIONS
from trainer.synth.pages.html_tree import parse_html
from trainer.synth.pages.page_tests import grid_of, page_tests
from trainer.synth.pages.pieces import TableCell, read_pieces, running_texts
from trainer.synth.pages.shards import (
    NoShards,
    StoredPage,
    read_shards,
    shard_path,
    unpack,
    write_shard,
)
from trainer.synth.pages.texts import make_text
from trainer.synth.pages.training_rows import (
    page_rows,
    read_texts,
    text_rows,
    write_examples,
    write_texts,
)
from trainer.synth.pages.truth import graph_of, markdown_of, page_record
from trainer.synth.pages.variants import ALLOWED, VARIANTS, failed_kinds
from trainer.synth.pages.words_of import UnknownLanguage, codes, words_of

HTML = """
<header class="running"><span>The Running Header</span><span></span><span>Issue 4</span></header>
<h1>A Title</h1>
<p>First <strong>bold</strong>
   sentence here.<sup class="mark">2</sup> Where <span class="math">x &lt; 3</span> holds.</p>
<ul><li>One thing to do.<ol><li>Nested thing.</li></ol></li><li>Another thing to do.</li></ul>
<div class="table"><p class="caption">Table 1. Sums</p><table><tbody>
<tr><th rowspan="2">Year</th><th colspan="2">Half &amp; half</th></tr>
<tr><th>North</th><th>South</th></tr>
<tr><th>1990</th><td>11.5</td><td rowspan="2">12.5</td></tr>
<tr><th>1991</th><td>21.5</td></tr>
</tbody></table></div>
<div class="formula"><div class="math display">a &amp; b</div><span class="number">(3)</span></div>
<figure><div class="drawing" aria-label="A chart"><svg><text>99</text></svg></div>
<figcaption>Figure 2. A chart of sums.</figcaption></figure>
<dl><div><dt>Name</dt><dd>Ada Byron</dd></div><div><dt>Town</dt><dd>Ripon</dd></div></dl>
<p class="answers"><span class="box ticked"></span> Yes <span class="box"></span> No</p>
<p>Last words of<br>the whole page.</p>
<footer class="running"><span>Page 3 of 9</span></footer>
"""
MARKDOWN = """# A Title

First **bold** sentence here.² Where \\( x < 3 \\) holds.

- One thing to do.
   1. Nested thing.
- Another thing to do.

Table 1. Sums

<table>
<tr><th rowspan="2">Year</th><th colspan="2">Half &amp; half</th></tr>
<tr><th>North</th><th>South</th></tr>
<tr><th>1990</th><td>11.5</td><td rowspan="2">12.5</td></tr>
<tr><th>1991</th><td>21.5</td></tr>
</table>

\\[ a & b \\] (3)

![A chart](page_10_20_300_40.png)

Figure 2. A chart of sums.

Name Ada Byron
Town Ripon

[x] Yes [ ] No

Last words of
the whole page."""


def a_page(name: str = "page_0", **changes: object) -> StoredPage:
    body = parse_html(HTML)
    pieces = read_pieces(body, [(10, 20, 300, 40)])
    rng = random.Random(1)
    buffer = io.BytesIO()
    Image.new("RGB", (120, 160), "white").save(buffer, "JPEG")
    fields: dict[str, object] = {
        "name": name,
        "image": buffer.getvalue(),
        "record": page_record(pieces, language="en"),
        "tests": page_tests(pieces, running_texts(body), name=name, rng=rng),
        "lines": [Line("A Title", Box(0.1, 0.1, 0.4, 0.2), 1.0, 0)],
        "graph": None,
        "facts": {"style": "report", "language": "en", "columns": 1, "degraded": False},
        "extra": {"html": HTML.encode()},
    }
    return StoredPage(**{**fields, **changes})  # type: ignore[arg-type]


def traits(*, sees_images: bool) -> ModelTraits:
    return ModelTraits("v1", style=PromptStyle.COMPACT, layout=Layout.ROWS, sees_images=sees_images)


def test_the_markdown_is_what_a_reader_would_write() -> None:
    pieces = read_pieces(parse_html(HTML), [(10, 20, 300, 40)])
    assert "\n\n".join(piece.markdown for piece in pieces) == MARKDOWN


def test_front_matter_stands_on_top_and_is_read_back() -> None:
    page = a_page()
    parts = {part.name: part.text for part in read_page(markdown_of(page.record))}
    assert parts["primary_language"] == "en"
    assert parts["is_rotation_valid"] == "True"
    assert parts[TEXT] == MARKDOWN


def test_running_texts_are_what_headers_and_footers_say() -> None:
    assert running_texts(parse_html(HTML)) == ["The Running Header", "Issue 4", "Page 3 of 9"]


def test_a_page_has_tests_of_all_six_kinds_and_its_truth_passes_them() -> None:
    page = a_page()
    kinds = {test["type"] for test in page.tests}
    assert kinds == {"present", "absent", "order", "table", "math", "baseline"}
    assert not failed_kinds(page.record[TEXT], page.tests)


@pytest.mark.parametrize("name", ["shuffled", "truncated", "leaking"])
def test_a_worse_variant_fails_tests_of_the_right_kinds_alone(name: str) -> None:
    page = a_page()
    failed = failed_kinds(VARIANTS[name](page), page.tests)
    assert failed
    assert set(failed) <= ALLOWED[name]


def test_a_grid_repeats_cells_that_span() -> None:
    tall, wide = (
        TableCell("t", head=False, across=1, down=2),
        TableCell("w", head=False, across=2, down=1),
    )
    low, right = (
        TableCell("l", head=False, across=1, down=1),
        TableCell("r", head=False, across=1, down=1),
    )
    assert grid_of([[tall, wide], [low, right]]) == [[tall, wide, wide], [tall, low, right]]


def test_neighbours_and_headings_come_from_the_spans() -> None:
    html = "<table><tr><th>Y</th><th colspan=2>Both</th></tr>"
    html += "<tr><th rowspan=2>G</th><td>a1</td><td>b1</td></tr><tr><td>a2</td><td>b2</td></tr>"
    pieces = read_pieces(parse_html(html + "</table>"))
    found: dict[str, set[tuple[str, str]]] = {}
    for seed in range(30):
        for test in page_tests(pieces, (), name="t", rng=random.Random(seed)):
            if test["type"] == "table":
                known = {k: v for k, v in test.items() if k not in {"pdf", "page", "id", "type"}}
                cell = known.pop("cell")
                found.setdefault(cell, set()).update(known.items())
    assert found["b2"] == {
        ("up", "b1"),
        ("left", "a2"),
        ("left_heading", "G"),
        ("top_heading", "Both"),
    }


def test_every_language_says_everything() -> None:
    wanted = words_of("en")
    assert {"de", "en", "es", "fr", "it", "pt", "ru"} <= set(codes())
    for code in codes():
        words = words_of(code)
        assert words.prose.keys() == wanted.prose.keys()
        assert words.labels.keys() == wanted.labels.keys()
        assert set(words.facts) == {*RELATIONS, "mention"}
        for relation in RELATIONS:
            assert all("{head}" in text and "{tail}" in text for text in words.facts[relation])
    with pytest.raises(UnknownLanguage, match="xx"):
        words_of("xx")


@pytest.mark.parametrize("style", list(STYLES))
def test_the_same_key_makes_the_same_page(style: str) -> None:
    first = compose("1/2/0", styles=(style,), languages=("de",))
    assert first == compose("1/2/0", styles=(style,), languages=("de",))
    assert first.html != compose("1/3/0", styles=(style,), languages=("de",)).html
    assert (first.style, first.language) == (style, "de")
    assert "<main" in first.html


def test_the_graph_of_a_text_is_said_in_it() -> None:
    for number in range(14):
        text = make_text(f"3/{number}")
        assert not faults_of(text.graph)
        assert text.graph["relations"]
        assert all(entity["text"] in text.text for entity in text.graph["entities"])
        for (head, _), relation, (tail, _) in triples_of(text.graph):
            assert relation in RELATIONS
            both = [s for s in text.text.casefold().split(". ") if head in s or tail in s]
            assert both


def test_a_statement_that_is_cut_off_is_not_in_the_graph() -> None:
    mark = '<span data-fact="works_for" data-head="Ada" data-tail="Acme">{}</span>'
    ada = '<span data-entity="person">Ada</span>'
    acme = '<span data-entity="organisation">Acme</span>'
    whole = graph_of(parse_html(f"<p>{mark.format(f'{ada} joined {acme}.')}</p>"))
    assert whole["relations"] == [{"head": "e1", "type": "works_for", "tail": "e2"}]
    cut = graph_of(parse_html(f"<p>{mark.format(f'{ada} joined')}</p>"))
    assert [entity["text"] for entity in cut["entities"]] == ["Ada"]
    assert cut["relations"] == []


def test_a_shard_gives_its_pages_back_and_has_the_same_bytes_again(tmp_path: Path) -> None:
    pages = [a_page("page_0"), a_page("page_1", graph={"entities": [], "relations": []})]
    digest = write_shard(shard_path(tmp_path, 0), pages)
    assert list(read_shards(tmp_path)) == pages
    assert write_shard(shard_path(tmp_path, 0), pages) == digest


def test_a_folder_without_shards_says_so(tmp_path: Path) -> None:
    with pytest.raises(NoShards, match="docloop synth pages"):
        list(read_shards(tmp_path))


def test_unpacked_pages_are_what_the_checker_takes(tmp_path: Path) -> None:
    page = a_page()
    assert unpack([page], tmp_path) == 1
    tests = [json.loads(row) for row in (tmp_path / "tests.jsonl").read_text().splitlines()]
    assert tests == list(page.tests)
    assert (tmp_path / "truth" / "page_0_pg1_repeat1.md").read_text() == page.markdown
    assert (tmp_path / "html" / "page_0.html").read_bytes() == page.extra["html"]


def test_rows_carry_the_prompt_the_answer_and_the_tests(tmp_path: Path) -> None:
    page = a_page()
    write_shard(shard_path(tmp_path, 0), [page])
    (row,) = page_rows(tmp_path, traits(sees_images=True))
    task = decode_task(row["task"])
    assert row["completion"][0]["content"] == page.markdown
    assert task.asked.document_type.name == DOCUMENT.name
    assert list(task.tests) == list(page.tests)
    assert row["images"][0].size == (120, 160)
    assert list(page_rows(tmp_path, traits(sees_images=True), "graph")) == []


def test_graph_texts_become_rows_that_a_stage_reads(tmp_path: Path) -> None:
    texts = [make_text(f"5/{number}") for number in range(3)]
    write_texts(texts, tmp_path)
    assert read_texts(tmp_path) == texts
    assert write_examples(text_rows(texts, traits(sees_images=False)), tmp_path) == 3
    rows = [json.loads(row) for row in (tmp_path / "examples.jsonl").read_text().splitlines()]
    assert json.loads(rows[0]["completion"][0]["content"]) == texts[0].graph
    assert texts[0].text.split("\n")[0][:30] in rows[0]["prompt"][-1]["content"]


def test_a_contact_sheet_shows_every_page() -> None:
    sheet = contact_sheet([(a_page().image, f"page {n}") for n in range(7)], across=3)
    assert sheet.width > 3 * 300
    assert sheet.height > 3 * 420
