"""One small search for all tests of discovery."""

from __future__ import annotations

import pytest

from ruledsl.discovery import Front, discover
from tests.discovery.small import QUESTIONED


@pytest.fixture(scope="session")
def front(tmp_path_factory: pytest.TempPathFactory) -> Front:
    """What a search of two rounds left, at toy size; its folder is not to be changed."""
    return discover(QUESTIONED, tmp_path_factory.mktemp("search") / "out")
