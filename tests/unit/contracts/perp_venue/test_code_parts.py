# SPDX-License-Identifier: MIT
"""The four contracts of a venue agree on storage, lock and parts, and hand on what they lack."""

from __future__ import annotations

from typing import Any

import boa
import pytest

from tests.market_world import deployer
from tests.venue_world import CODE_PARTS, code_parts, world


def layout(name: str) -> dict[str, Any]:
    """Return slots and types by name, as the compiler gives them."""
    layout: dict[str, Any] = deployer(f"{name}.vy").compiler_data.storage_layout["storage_layout"]
    return layout


@pytest.mark.parametrize("name", CODE_PARTS[1:])
def test_storage__every_part__same_slots_and_lock(name: str) -> None:
    assert layout(name) == layout("PerpVenue")
    assert "accounts" in layout(name)["ledger"]
    assert "$.nonreentrant_key" in layout(name)


def test_parts__every_contract__names_the_same() -> None:
    w = world()
    parts = tuple(w.venue.contract.parts())
    for name, address in zip(CODE_PARTS[1:], code_parts(w.venue), strict=True):
        assert tuple(deployer(f"{name}.vy").at(address).parts()) == parts


def test_unknown_call__nobody_has_it__reverts() -> None:
    w = world()
    computation = boa.env.execute_code(to_address=w.venue.address, data=b"\x12\x34\x56\x78")
    assert computation.is_error


def test_called_directly__code_without_storage__moves_nothing() -> None:
    """The code's own storage is empty, and nothing can be put into it."""
    w = world()
    trader = w.trader("trader", quote=10)
    recovery = deployer("VenueRecovery.vy").at(code_parts(w.venue)[0])
    before = w.venue.reserves()
    with boa.reverts():
        recovery.liquidate(trader)
    with boa.reverts():
        recovery.settle()
    assert w.venue.reserves() == before
