from __future__ import annotations

from collections.abc import Iterator

import pytest
from browser import Browser


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture
def tab(browser: Browser) -> Browser:
    """The session's browser, with nothing noted yet."""
    browser.open("about:blank")  # or the last test's page might still complain of a server that has gone
    browser.requests.clear()
    browser.complaints.clear()
    return browser
