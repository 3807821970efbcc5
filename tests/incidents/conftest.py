# SPDX-License-Identifier: MIT
"""The vault that incidents begin with, where they want no other."""

from __future__ import annotations

import boa
import pytest

from tests.vault_world import vault_world


@pytest.fixture
def world():
    """An empty vault with a venue; what a test does is undone."""
    with boa.env.anchor():
        yield vault_world()


@pytest.fixture
def owners(world):
    """Two depositors of 30 assets each."""
    accounts = [world.depositor(f"owner {n}") for n in range(2)]
    for account in accounts:
        world.deposit(account, 30)
    return accounts
