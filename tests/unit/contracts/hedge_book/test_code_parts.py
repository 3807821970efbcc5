# SPDX-License-Identifier: MIT
"""The two contracts of a book agree on storage and lock, and the first hands on what it lacks."""

from __future__ import annotations

import boa
import pytest

from tests.market_world import deployer
from tests.vault_world import vault_world


def layout(name):
    return deployer(f"{name}.vy").compiler_data.storage_layout["storage_layout"]


@pytest.fixture(scope="module")
def world():
    with boa.env.anchor():
        yield vault_world()


def test_storage__both_parts__same_slots_and_lock():
    assert layout("HedgeBook") == layout("BookControl")
    assert "records" in layout("HedgeBook")["ledger"]
    assert "$.nonreentrant_key" in layout("HedgeBook")


def test_unknown_call__nobody_has_it__reverts(world):
    computation = boa.env.execute_code(to_address=world.book.address, data=b"\x12\x34\x56\x78")
    assert computation.is_error


def test_called_directly__code_without_storage__nobody_owns_it(world):
    control = deployer("BookControl.vy").at(world.book.NEXT())
    for call in (
        lambda: control.set_keeper(boa.env.eoa),
        control.start_unwind,
        lambda: control.pause_rebalancing(60),
        control.flag,
    ):
        with boa.reverts():
            call()
