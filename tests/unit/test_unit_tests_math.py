"""math: equations as they are seen. The layout is checked by hand, and by Chromium where it is."""

import json
import pickle
import random
import re
import shutil
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from bench.unit_tests_naive import seen_in
from extraction.unit_tests import read_case
from extraction.unit_tests.compare import is_seen_in
from extraction.unit_tests.equations import equations_in
from extraction.unit_tests.rendering import render
from trainer.synth.pages.renderer import NoBrowser, find_browser

_EM = 24 * 1.21


def passed(content: str, **fields: Any) -> bool:
    where = {"pdf": "a.pdf", "page": 1, "id": "a", "type": "math"}
    return read_case(where | fields).run(content).passed


@pytest.mark.parametrize(
    ("content", "dollars", "sources"),
    [
        (r"\(a\) and \[ b \]", False, ["a", "b"]),
        (r"$a$ \(b\) $$c$$", True, ["b", "c", "a"]),
        (r"$a$ \(b\) $$c$$", False, ["b"]),
        ("\\[a\nb\\]", True, ["a\nb"]),
        (r"\(a", True, []),
        (r"\(\) b \)", True, [r"\) b"]),
        ("costs $5 and $6", True, ["5 and"]),
        (r"\(a $b\) c$", True, ["a $b"]),
        ("$$$", True, ["$"]),
        ("$$", True, []),
        (r"\(" * 20000, True, []),
    ],
)
def test_equations_of_a_page(content: str, dollars: bool, sources: list[str]) -> None:
    assert equations_in(content, dollars=dollars) == sources


def test_equations_are_those_of_the_patterns() -> None:
    rng = random.Random(4)
    patterns = [r"\\\((.+?)\\\)", r"\\\[(.+?)\\\]", r"\$\$(.+?)\$\$", r"\$(.+?)\$"]
    for _ in range(2000):
        rest = content = "".join(
            rng.choices([r"\(", r"\)", r"\[", r"\]", "$", "$$", "a", "\n"], k=12)
        )
        expected = []
        for pattern in patterns:
            expected += [found.strip() for found in re.findall(pattern, rest, re.DOTALL)]
            rest = re.sub(pattern, "", rest, flags=re.DOTALL)
        assert equations_in(content, dollars=True) == expected, content


SEEN = [
    (r"x^2", r"x^{2}", True, "braces are not seen"),
    (r"x^2", r"\int_a^b 3x ^ 2 dx", True, "inside another"),
    (r"3x^2", r"\int_a^b{ 3x ^ 2dx}", True, "inside another"),
    (r"a+x^2", r"a+x2", True, "a raised letter has no row, and is a neighbour of nothing"),
    (r"a+x2", r"a+x^2", False, "one on the row is a neighbour of the x"),
    (r"\sum^n x", r"\sum_n x", False, "above is not below"),
    (r"xy", r"yx", False, "the other way round"),
    (r"a+b", r"a-b", False, "another sign"),
    (r"a+b", r"b+a", False, "another order"),
    (r"\frac{a}{b}", r"\frac{b}{a}", False, "upside down"),
    (r"\frac{a}{b}", r"{a \over b}", True, "the same fraction"),
    (r"\frac{a}{b}", r"\dfrac{a}{b}+c", True, "with something beside"),
    (r"\mathbf{E}", r"E", True, "bold is not compared"),
    (r"\sum_{i=1}^n i", r"\sum_{i=1}^{n} i = m", True, "a sum with limits"),
    (r"\sum_{i=1}^n i", r"\sum_{i=2}^n i", False, "other limits"),
    (r"\left(x\right)", r"(x)", True, "small delimiters"),
    (r"\text{if } x", r"\mathrm{if}\ x", True, "words"),
    (r"\hat{x}", r"x", False, "no accent"),
    (
        r"\begin{pmatrix}1&2\\3&4\end{pmatrix}",
        r"\left(\begin{array}{cc}1&2\\3&4\end{array}\right)",
        True,
        "a matrix",
    ),
    (
        r"\begin{pmatrix}1&2\\3&4\end{pmatrix}",
        r"\begin{pmatrix}1&3\\2&4\end{pmatrix}",
        False,
        "transposed",
    ),
    (r"x", r"\frac{", False, "what does not render has nothing"),
    (r"\frac{", r"x", True, "and misses nothing"),
    (r"\quad", r"x", True, "nothing to be seen is everywhere"),
    (r"aa", r"a", False, "each needs one of its own"),
]


@pytest.mark.parametrize(("reference", "hypothesis", "expected", "why"), SEEN)
def test_seen_in(reference: str, hypothesis: str, expected: bool, why: str) -> None:
    assert is_seen_in(render(reference), render(hypothesis)) is expected, why
    assert seen_in(render(reference), render(hypothesis)) is expected, "the naive way agrees"


def test_a_page_has_the_equation() -> None:
    assert passed(r"Euler: $e^{i\pi} + 1 = 0$.", math=r"e^{i \pi}+1=0")
    assert not passed(r"Euler: $e^{i\pi} + 1 = 0$.", math=r"e^{i \pi}-1=0")
    assert not passed(r"$a$", math="a", ignore_dollar_delimited=True)
    assert passed(r"\(\bad\)", math=r"\bad"), "the same source need not render"
    assert not passed("no equation", math=r"\bad")


def test_marks_have_the_places_of_the_fonts_metrics() -> None:
    x, two = render("x^2").marks
    assert (x.text, x.x, x.width) == ("x", 0.0, pytest.approx(0.57153 * _EM))
    assert two.x == pytest.approx(x.width), "behind the x"
    assert two.width == pytest.approx(0.5 * 0.7 * _EM), "in size 3"
    baseline_x, baseline_two = x.y + 0.891 * _EM, two.y + 0.891 * 0.7 * _EM
    assert baseline_x - baseline_two == pytest.approx(0.4130 * _EM, abs=0.01), "TeX's sup1"


def test_a_fraction_is_centred() -> None:
    below, *above = render(r"\frac{a+b}{c}").marks
    middle = (above[0].x + above[-1].x + above[-1].width) / 2
    assert below.x + below.width / 2 == pytest.approx(middle)


def test_what_does_not_render_says_why() -> None:
    assert "Undefined control sequence" in (render(r"\nonsense").error or "")
    assert render(r"\def\a{\a\a}\a").error is not None, "a macro that grows ends"
    assert render("{" * 5000 + "}" * 5000).error is not None, "a nest ends"
    assert render("x").error is None, "the engine goes on"


def test_tests_can_be_pickled() -> None:
    case = read_case({"pdf": "a.pdf", "page": 1, "id": "a", "type": "math", "math": "x^2"})
    assert pickle.loads(pickle.dumps(case)).run("$x^{2}$").passed  # noqa: S301  # our own


SCRIPT = """(tex) => {
  const root = document.getElementById("root");
  katex.render(tex, root, {displayMode: true});
  return [...document.querySelectorAll("span")]
    .filter((span) => span.children.length === 0 && /\\S/.test(span.textContent))
    .map((span) => { const box = span.getBoundingClientRect();
      return [span.textContent.trim(), box.x + box.width / 2, box.y + box.height / 2]; });
}"""


@pytest.fixture(scope="module")
def browser_page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    try:
        chromium = find_browser()
    except NoBrowser as error:
        pytest.skip(str(error))
    sync_api = pytest.importorskip("playwright.sync_api", reason="no playwright")
    katex = Path(str(files("extraction.unit_tests"))) / "katex"
    fonts = Path(str(files("trainer.synth.pages"))) / "katex_fonts"
    folder = tmp_path_factory.mktemp("katex")
    shutil.copytree(fonts, folder / "fonts")
    for name in ("katex.min.css", "katex.min.js"):
        shutil.copy(katex / name, folder)
    (folder / "page.html").write_text(
        '<!DOCTYPE html><link rel="stylesheet" href="katex.min.css">'
        '<script src="katex.min.js"></script>'
        "<style>body{display:flex;justify-content:center;align-items:center;height:100vh;margin:0}"
        "#root{font-size:24px}</style><div id=root></div>"
    )
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--allow-file-access-from-files"]
        )
        page = browser.new_page(viewport={"width": 800, "height": 400})
        page.goto((folder / "page.html").as_uri())
        for source in SOURCES:
            page.evaluate(SCRIPT, source)
            page.evaluate("document.fonts.ready.then(() => true)")
        yield page
        browser.close()


SOURCES = [
    r"\frac{a^2}{\sqrt{b}}+\sum_{i=1}^n \text{if } x_i \quad \hat{y} \left(\frac12\right)",
    r"u \in\left(R / \operatorname{Ann}_{R}\left(x_{i}\right)\right)^{\times}",
    r"\begin{pmatrix} a & b \\ c+d & \frac{e}{f} \end{pmatrix}",
    r"\begin{cases} 1 & x>0 \\ 0 & \text{otherwise} \end{cases}",
    r"\sqrt[3]{x+y} \overline{abc}+\underbrace{x+y}_{n} \overset{a}{=} \binom{n}{k}",
    r"\left.\frac{d}{dx}\right|_{x=0} \int_a^b f(x)\,dx \lim_{x \to 0} {}_a^b X_c^d",
    r"a \\ b+c",
    r"x \tag{1}",
    r"\boxed{x+y} \cancel{x} \xrightarrow{foo} \mathclap{abc} \llap{x} \raisebox{3pt}{b} \not=",
    r"\Large x \small y \tfrac12 \cfrac{1}{1+\cfrac{1}{x}} \begin{aligned} x &= 1 \end{aligned}",
]


@pytest.mark.parametrize("source", SOURCES)
def test_marks_stand_where_a_browser_puts_them(browser_page: Any, source: str) -> None:
    boxes = [box for box in browser_page.evaluate(SCRIPT, source) if box[0] != "\u200b"]
    marks = render(source).marks
    assert [box[0] for box in boxes] == [mark.text for mark in marks]
    left = boxes[0][1] - marks[0].x - marks[0].width / 2
    # A browser takes each font's own ascent; the characters' boxes differ by that.
    down = [y - mark.y - mark.height / 2 for (_, _, y), mark in zip(boxes, marks, strict=True)]
    assert max(down) - min(down) < 4.0
    for (text, x, _), mark in zip(boxes, marks, strict=True):
        assert x - left == pytest.approx(mark.x + mark.width / 2, abs=1.0), text


def test_the_licence_comes_with_katex() -> None:
    folder = Path(str(files("extraction.unit_tests"))) / "katex"
    assert "MIT" in (folder / "LICENSE").read_text()
    assert sum(file.stat().st_size for file in folder.iterdir()) < 1_500_000
    assert json.dumps(sorted(file.name for file in folder.iterdir())) == json.dumps(
        ["LICENSE", "katex.min.css", "katex.min.js", "tree.js"]
    )
