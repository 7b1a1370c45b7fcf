"""Every page of the app, and the static files that they use."""

from fastapi import APIRouter, FastAPI, Response

from api.pages import (
    held,
    queue,
    reference,
    review,
    review_steps,
    sign_in,
    type_editor,
    upload,
    versions,
)
from api.pages.rendering import asset, assets_version
from db.errors import NotFound

router = APIRouter(include_in_schema=False)


@router.get("/assets/{version}/{name}")
async def read_asset(version: str, name: str) -> Response:
    """A static file. An address of an older version has the newer content, and is not kept."""
    found = asset(name)
    if found is None:
        raise NotFound("asset", name)
    if version != assets_version():
        found.headers["cache-control"] = "no-cache"
    return found


def install_pages(app: FastAPI) -> None:
    """The pages beside the API, on paths of their own; OpenAPI does not name them."""
    app.include_router(router)
    parts = (queue, review_steps, review, sign_in, upload, held, versions, type_editor, reference)
    for part in parts:
        app.include_router(part.router, include_in_schema=False)
    app.include_router(type_editor.steps, include_in_schema=False)
