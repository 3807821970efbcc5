# SPDX-License-Identifier: MIT
"""What the keeper's integration tests stand on; the scripts' have worlds of their own."""

from __future__ import annotations

import pytest

from tests.script_world import ETHER, deployed


@pytest.fixture(scope="module")
def system(request, tmp_path_factory):
    """A deployed system for a module, on Anvil unless a test is parametrized with another node."""
    from brownie import network

    with deployed(
        getattr(request, "param", "anvil"), tmp_path_factory.mktemp("deployments")
    ) as world:
        # an estimate in the second of the last update is too low for the next one
        network.main.gas_buffer(1.5)
        yield world


@pytest.fixture
def world(system):
    """A vault with 50 assets and no hedge; what a test does is undone."""
    from scripts.deposit import deposit

    with system.undone():
        system.refresh()
        deposit(system.deployment, system.account(5), 50 * ETHER)
        yield system
