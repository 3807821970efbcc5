# SPDX-License-Identifier: MIT
"""The dashboard over Ganache: every page, and updates that arrive."""

from __future__ import annotations

import pytest

from tests.browser import browser
from tests.live_dashboard import PAGES, check_arrival, check_page, hedged, running

pytestmark = [pytest.mark.node, pytest.mark.slow]


def test_dashboard__on_ganache__every_page_and_updates_arrive(tmp_path):
    with (
        browser() as chromium,
        hedged("ganache", tmp_path) as (world, desk, _),
        running(desk) as site,
    ):
        for i, name in enumerate(PAGES):
            check_page(chromium, site, world, name, ("light", "dark")[i % 2])
        check_arrival(chromium, site, world)
