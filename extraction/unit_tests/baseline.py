"""`baseline`: the page has text, does not end in a loop, and stays in its scripts."""

import re
from dataclasses import dataclass

from extraction.unit_tests.cases import PASSED, Case, Verdict, failed
from extraction.unit_tests.page import Page

_LONGEST_PIECE = 5
_SPACE = re.compile(r"\s+")
# Chinese characters, Japanese syllables and emoji: a model that loses its way slips into these.
_FOREIGN = re.compile(
    "[\u4e00-\u9fff\u3040-\u309f\u30a0-\u30ff"
    "\U0001f600-\U0001f64f\U0001f300-\U0001f5ff\U0001f680-\U0001f6ff\U0001f1e0-\U0001f1ff]"
)


@dataclass(frozen=True, kw_only=True)
class Baseline(Case):
    """The page as a whole.

    Attributes:
        max_length: most letters and digits of a page that should be blank; then nothing else is
            checked.
        max_length_skips_image_alt_tags: leaves `![...](...)` out of that count.
        max_repeats: how often a piece of up to five characters may stand in a row at the end.
        check_disallowed_characters: whether foreign scripts and emoji fail.
    """

    max_length: int | None = None
    max_length_skips_image_alt_tags: bool = False
    max_repeats: int = 30
    check_disallowed_characters: bool = True

    def check(self, page: Page) -> Verdict:
        """Blank where it should be; otherwise text, without a loop, without foreign scripts."""
        if self.max_length is not None:
            return self._blank(page.content, self.max_length)
        if not any(map(str.isalnum, page.content)):
            return failed("no letter and no digit on the page")
        for size in range(1, _LONGEST_PIECE + 1):
            if repeats_at_end(page.content, size, self.max_repeats + 1) > self.max_repeats:
                why = (
                    f"a piece of {size} characters stands over {self.max_repeats} times at the end"
                )
                return failed(why)
        if self.check_disallowed_characters and (foreign := _FOREIGN.findall(page.content)):
            return failed(f"characters of other scripts: {''.join(foreign[:10])}")
        return PASSED

    def _blank(self, content: str, most: int) -> Verdict:
        if self.max_length_skips_image_alt_tags:
            content = "\n".join(map(_without_images, content.split("\n")))
        count = sum(map(str.isalnum, content))
        if count <= most:
            return PASSED
        return failed(f"{count} letters and digits on a page that should be blank")


def _without_images(line: str) -> str:
    """A line without `![...](...)`, in one pass."""
    kept, at = [], 0
    while (begin := line.find("![", at)) >= 0:
        middle = line.find("](", begin + 2)
        end = line.find(")", middle + 2) if middle >= 0 else -1
        if end < 0:
            break
        kept.append(line[at:begin])
        at = end + 1
    return "".join([*kept, line[at:]])


def repeats_at_end(content: str, size: int, most: int) -> int:
    """How often the last `size` characters stand in a row at the end, counted up to `most`.

    White space counts as one space.
    """
    text = _SPACE.sub(" ", content)
    if len(text) < size:
        return 0
    piece, count, at = text[-size:], 0, len(text) - size
    while at >= 0 and count < most and text.startswith(piece, at):
        count += 1
        at -= size
    return count
