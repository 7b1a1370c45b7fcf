"""Pages in tar shards as WebDataset has them, with a manifest: written, read, unpacked.

    shard-00000.tar   NAME.jpg NAME.md NAME.json NAME.html NAME.pdf, one group a page
    manifest.json     seeds, wishes, counts, faults, and each shard with its SHA-256
    contact.jpg       a sample of the pages, small

`datasets.load_dataset("webdataset", data_files="FOLDER/*.tar")` reads them too. A shard is written
under another name and renamed, so a shard that is there is whole.
"""

import hashlib
import io
import json
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from extraction.errors import DocloopError
from extraction.lines import Box, Line
from extraction.markdown.front_matter import write_page

MANIFEST: Final = "manifest.json"
PAGES: Final = "shard-*.tar"


class NoShards(DocloopError):
    """A folder holds no shards of pages.

    Args:
        folder: it.
    """

    slug = "no-shards"

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)
        super().__init__(f"{folder} holds no shards of pages; `docloop synth pages` writes them.")


@dataclass(frozen=True, slots=True)
class StoredPage:
    """A page as a shard has it.

    Attributes:
        name: unique in its folder.
        image: the picture's bytes, JPEG or PNG.
        record: the page as the type `document` has it.
        tests: in olmOCR-bench's form.
        lines: text lines on the picture.
        graph: as the type `graph` has it, or None.
        facts: all else that is known: style, language, key, agreement and so on.
        extra: further files of the group by their ending: html, pdf.
    """

    name: str
    image: bytes
    record: Mapping[str, Any]
    tests: Sequence[Mapping[str, Any]]
    lines: Sequence[Line]
    graph: Mapping[str, Any] | None
    facts: Mapping[str, Any]
    extra: Mapping[str, bytes]

    @property
    def markdown(self) -> str:
        """What a perfect model answers: front matter and text."""
        return write_page(self.record)


def shard_path(folder: Path, number: int) -> Path:
    """The file of a shard."""
    return folder / f"shard-{number:05}.tar"


def write_shard(path: Path, pages: Iterable[StoredPage]) -> str:
    """Writes a whole shard; the same pages give the same bytes.

    Returns:
        SHA-256 of the file.
    """
    partial = path.with_suffix(".part")
    with tarfile.open(partial, "w") as archive:
        for page in pages:
            for ending, content in _files(page).items():
                entry = tarfile.TarInfo(f"{page.name}.{ending}")
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
    digest = hashlib.sha256(partial.read_bytes()).hexdigest()
    partial.replace(path)
    return digest


def read_shards(folder: Path) -> Iterator[StoredPage]:
    """The pages of a folder, shard by shard, one at a time.

    Raises:
        NoShards: there are none.
    """
    paths = sorted(folder.glob(PAGES))
    if not paths:
        raise NoShards(folder)
    for path in paths:
        yield from read_shard(path)


def read_shard(path: Path) -> Iterator[StoredPage]:
    """The pages of one shard."""
    group: dict[str, bytes] = {}
    name = ""
    with tarfile.open(path) as archive:
        for entry in archive:
            stem, _, ending = entry.name.partition(".")
            if stem != name and group:
                yield _page(name, group)
                group = {}
            name = stem
            file = archive.extractfile(entry)
            group[ending] = file.read() if file is not None else b""
    if group:
        yield _page(name, group)


def unpack(pages: Iterable[StoredPage], folder: Path) -> int:
    """Writes pages as plain files, as `python -m extraction.unit_tests` takes them.

    `tests.jsonl`, `truth/NAME_pg1_repeat1.md`, `images/NAME.jpg` and what else each page has.

    Returns:
        How many pages there were.
    """
    for name in ("truth", "images"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    count = 0
    with (folder / "tests.jsonl").open("w", encoding="utf-8") as tests:
        for count, page in enumerate(pages, start=1):  # noqa: B007 the last count is the result
            truth = folder / "truth" / f"{page.name}_pg1_repeat1.md"
            truth.write_text(page.markdown, encoding="utf-8")
            (folder / "images" / f"{page.name}.jpg").write_bytes(page.image)
            for ending, content in page.extra.items():
                (folder / ending).mkdir(exist_ok=True)
                (folder / ending / f"{page.name}.{ending}").write_bytes(content)
            for test in page.tests:
                tests.write(json.dumps(test, ensure_ascii=False) + "\n")
    return count


def _files(page: StoredPage) -> dict[str, bytes]:
    # Lists of objects with differing keys stand as text: Arrow wants one shape for all pages.
    known = {
        "name": page.name,
        "record": dict(page.record),
        "tests": json.dumps(list(page.tests), ensure_ascii=False),
        "lines": json.dumps([asdict(line) for line in page.lines], ensure_ascii=False),
        "graph": json.dumps(page.graph, ensure_ascii=False),
        "facts": json.dumps(dict(page.facts), ensure_ascii=False, sort_keys=True),
    }
    return {
        "jpg": page.image,
        "md": page.markdown.encode(),
        "json": json.dumps(known, ensure_ascii=False).encode(),
        **page.extra,
    }


def _page(name: str, group: dict[str, bytes]) -> StoredPage:
    known = json.loads(group.pop("json"))
    group.pop("md")
    lines = [Line(**{**line, "box": Box(**line["box"])}) for line in json.loads(known["lines"])]
    return StoredPage(
        name=name,
        image=group.pop("jpg"),
        record=known["record"],
        tests=json.loads(known["tests"]),
        lines=lines,
        graph=json.loads(known["graph"]),
        facts=json.loads(known["facts"]),
        extra=group,
    )
