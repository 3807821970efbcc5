# SPDX-License-Identifier: MIT
"""The timelock that these tests begin with."""

from __future__ import annotations

import boa
import pytest

from tests.timelock_world import timelock_scene


@pytest.fixture
def scene():
    """Undone after each test."""
    with boa.env.anchor():
        yield timelock_scene()
