"""What several end-to-end tests start."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Error, sync_playwright

from tests.factories_browser import find_chromium


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Headless Chromium; of one module alone, for playwright's loop runs on the tests' thread."""
    with sync_playwright() as playwright:
        try:
            found = playwright.chromium.launch(
                executable_path=find_chromium(), args=["--no-sandbox"]
            )
        except Error as error:
            pytest.skip(f"no Chromium here: {str(error).splitlines()[0]}")
        yield found
        found.close()
