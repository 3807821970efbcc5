# SPDX-License-Identifier: MIT
"""A browser, and a dashboard over a hedged vault on an Anvil of its own, for each file."""

from __future__ import annotations

import pytest

from tests.browser import browser
from tests.live_dashboard import hedged, running


@pytest.fixture(scope="module")
def chromium():
    with browser() as started:
        yield started


@pytest.fixture(scope="module")
def system(tmp_path_factory, chromium):
    with hedged("anvil", tmp_path_factory.mktemp("dashboard")) as found:
        yield found


@pytest.fixture(scope="module")
def site(system):
    with running(system[1]) as url:
        yield url
