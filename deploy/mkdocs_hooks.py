# ruff: noqa: INP001 - a script, and no part of a package
"""What the documentation gets when it is built: the HTTP reference, and links that stay inside."""

import re
import tempfile
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
REFERENCE = "http.md"
_LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(([^)\s]+)\)")
_INTRODUCTION = (
    "Made from the code. Every route but those of *service* wants a key: "
    "`Authorization: Bearer dl_...`. Errors are `application/problem+json`."
)
_FIRST = {"index", "README"}
_METHODS = ("get", "post", "put", "patch", "delete")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """A folder in the navigation stands for its pages; what nothing names comes last."""
    docs = Path(config.docs_dir)
    nav = _expanded(config.nav, docs)
    pages = {str(page.relative_to(docs)) for page in docs.rglob("*.md")}
    config.nav = [*nav, *[{"More": more} for more in [sorted(pages - _named(nav))] if more]]
    return config


def _named(entry: Any) -> set[str]:
    """Every page of a navigation."""
    if isinstance(entry, str):
        return {entry}
    parts = entry.values() if isinstance(entry, dict) else entry
    return set().union(*map(_named, parts))


def _expanded(entry: Any, docs: Path) -> Any:
    if isinstance(entry, list):
        return [_expanded(one, docs) for one in entry]
    if isinstance(entry, dict):
        return {title: _expanded(one, docs) for title, one in entry.items()}
    if not (isinstance(entry, str) and entry.endswith("/")):
        return entry
    pages = sorted((docs / entry).glob("*.md"), key=lambda path: (path.stem not in _FIRST, path))
    return [str(page.relative_to(docs)) for page in pages]


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the HTTP reference, made from the code that answers."""
    files.append(File.generated(config, REFERENCE, content=reference()))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """A link to a file of the repository becomes its path: the site has only the documentation."""
    del files
    source = Path(config.docs_dir) / page.file.src_uri

    def inside(found: re.Match[str]) -> str:
        text, target = found.groups()
        path, _, _ = target.partition("#")
        if not path or "://" in path:
            return found[0]
        place = (source.parent / path).resolve()
        if place.is_relative_to(Path(config.docs_dir).resolve()):
            return found[0]
        if not place.exists():
            raise FileNotFoundError(f"{page.file.src_uri} links to {target}, which is not there")
        return f"{text} (`{place.relative_to(ROOT)}`)" if "`" not in text else text

    return _LINK.sub(inside, markdown)


def reference() -> str:
    """The HTTP reference in Markdown."""
    from api.app import create_app
    from api.settings import Settings

    with tempfile.TemporaryDirectory() as folder:
        # Nothing is started; an engine elsewhere is one whose log is not opened here.
        settings = Settings(
            _env_file=None, data_dir=Path(folder), engine_urls=("http://127.0.0.1:9",)
        )
        schema = create_app(settings).openapi()
    lines = [
        "# HTTP reference",
        "",
        _INTRODUCTION,
        "",
    ]
    by_tag: dict[str, list[str]] = {}
    for path, methods in schema["paths"].items():
        for method in _METHODS:
            if method in methods:
                operation = methods[method]
                tag = (operation.get("tags") or ["other"])[0]
                by_tag.setdefault(tag, []).extend(_operation(path, method, operation, schema))
    for tag, parts in by_tag.items():
        lines += [f"## {tag}", "", *parts]
    return "\n".join(lines) + "\n"


def _operation(
    path: str, method: str, operation: dict[str, Any], schema: dict[str, Any]
) -> list[str]:
    lines = [f"### `{method.upper()} {path}`", "", f"**{operation.get('summary', '')}**", ""]
    if description := operation.get("description"):
        lines += [description, ""]
    rows = [
        (row["name"], row["in"], _kind(row.get("schema", {})), row.get("description", ""))
        for row in (_resolve(one, schema) for one in operation.get("parameters", []))
    ]
    for media, content in operation.get("requestBody", {}).get("content", {}).items():
        body = _resolve(content.get("schema", {}), schema)
        rows += [
            (name, media.rpartition("/")[2], _kind(field), field.get("description", ""))
            for name, field in body.get("properties", {}).items()
        ]
    if rows:
        lines += ["| name | in | type | |", "|---|---|---|---|"]
        lines += [
            f"| `{name}` | {where} | {kind} | {_cell(said)} |" for name, where, kind, said in rows
        ]
        lines.append("")
    answers = ", ".join(
        f"{status} {_cell(answer.get('description', ''))}"
        for status, answer in operation.get("responses", {}).items()
    )
    return [*lines, f"Answers: {answers}", ""]


def _resolve(part: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in part:
        found: Any = schema
        for step in part["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        part = found
    return part


def _kind(field: dict[str, Any]) -> str:
    if "anyOf" in field:
        return " or ".join(dict.fromkeys(_kind(one) for one in field["anyOf"]))
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    if "$ref" in field:
        return field["$ref"].rpartition("/")[2]
    return str(field.get("format") or field.get("type") or "any")


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
