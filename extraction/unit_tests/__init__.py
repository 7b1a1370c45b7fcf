"""Binary tests of a page's Markdown: olmOCR-bench's six kinds, its file format, its verdicts.

    present   a text stands on the page, within `max_diffs`
    absent    a text does not (headers, footers, page numbers)
    order     a text stands before another
    table     a cell has these neighbours and headings (Markdown and HTML, spans honoured)
    math      an equation stands on the page, compared as KaTeX lays it out
    baseline  not empty, no repetition at the end, no foreign scripts; or blank, where a page is

One fact of a page, true or false, in place of a soft distance: swapping x and y in an equation is
one character and all of its meaning. The meaning of each field is that of the original
(Poznanski et al. 2025, "olmOCR 2: Unit test rewards for document OCR", and its benchmark). A page
is normalised, parsed and rendered once, whatever the number of its tests.
"""

from extraction.unit_tests.cases import Case, InvalidCase, Verdict
from extraction.unit_tests.files import load_cases, read_case
from extraction.unit_tests.page import Page

__all__ = ["Case", "InvalidCase", "Page", "Verdict", "load_cases", "read_case"]
