# SPDX-License-Identifier: MIT
"""
V-08: nobody pays but the caller, or who gave him an allowance.

Every state-changing function of vault, book and queue is called by a stranger with a victim, who
gave all of them unlimited approval of both tokens and the shares, in every address argument.
"""

from __future__ import annotations

from contextlib import suppress

import boa
from boa import BoaError

from tests.market_world import MAX_UINT
from tests.vault_world import vault_world


def argument(kind, victim):
    if kind == "address":
        return victim
    if kind.startswith("bytes"):
        return b"\0" * 32
    if kind == "uint8":
        return 27
    return 10**15


def test_v08__stranger_names_the_victim_everywhere__victim_loses_nothing():
    with boa.env.anchor():
        world = vault_world()
        victim, stranger = world.depositor("victim"), str(boa.env.generate_address("stranger"))
        world.quote.mint(victim, world.quotes(1_000))
        world.deposit(victim, 5)
        for token in (world.asset, world.quote, world.vault):
            for spender in (world.vault, world.book, world.queue):
                token.approve(spender.address, MAX_UINT, sender=victim)

        def wealth():
            return (
                world.asset.balanceOf(victim),
                world.quote.balanceOf(victim),
                world.vault.balanceOf(victim),
            )

        had, tried = wealth(), 0
        for contract in (world.vault, *world.book.parts, world.queue):
            for entry in contract.abi:
                if entry["type"] != "function" or entry["stateMutability"] == "view":
                    continue
                kinds = [given["type"] for given in entry["inputs"]]
                if any(kind.startswith("tuple") for kind in kinds):
                    continue  # plans, legs and terms name no payer
                tried += 1
                with suppress(BoaError):
                    getattr(contract, entry["name"])(
                        *(argument(kind, victim) for kind in kinds), sender=stranger
                    )
                assert wealth() == had, entry["name"]
        assert tried >= 28
