# SPDX-License-Identifier: MIT
from __future__ import annotations

import boa
import pytest

from tests.market_world import NOBODY
from tests.vault_world import HOUR, add_settable_venue, deploy_vault, vault_world


@pytest.fixture
def world():
    """A hedged vault of 100."""
    with boa.env.anchor():
        world = vault_world()
        world.deposit(world.depositor("depositor"), 100)
        world.hedge(0.3)
        yield world


def snapshot(world):
    number, at, (one,) = world.lens.snapshots([world.vault.address])
    assert (number, at) == (boa.env.evm.patch.block_number, boa.env.timestamp)
    return one


def test_snapshots__hedged_vault__says_what_the_contracts_say(world):
    seen = snapshot(world)
    book, vault, price = world.book, world.vault, world.price()
    assert (seen.vault, seen.book) == (vault.address, book.address)
    assert (seen.asset, seen.quote) == (world.asset.address, world.quote.address)
    assert (seen.oracle, seen.spot) == (world.base.oracle.address, world.spot.address)
    assert (seen.asset_decimals, seen.quote_decimals) == (18, 6)
    assert (seen.owner, seen.keeper, seen.guardian) == (
        boa.env.eoa,
        world.keeper,
        world.guardian,
    )
    assert (seen.price_ok, seen.price_wad, seen.price_reason) == (True, price, b"\0" * 32)
    assert seen.price_updated_at == world.base.oracle.read()[1]
    assert seen.total_supply == vault.totalSupply()
    assert seen.idle_assets == vault.idle_assets()
    assert (seen.entry_paused_until, seen.base_charge_bps) == (0, 90)
    assert (seen.spot_assets, seen.spot_quote) == world.spot.reserves()
    assert seen.spot_fee_wad == world.spot.fee_wad()
    assert tuple(seen.state) == tuple(book.state())
    assert tuple(seen.limits) == tuple(book.limits())
    assert seen.venue_count == 1
    venue = seen.venues[0]
    assert (venue.venue, venue.allotment_bps) == (world.venue.address, 6_000)
    assert tuple(venue.margin) == tuple(world.venue.margin(book.address, price))
    assert tuple(venue.market) == tuple(world.venue.market(price))
    assert [v.venue for v in seen.venues[1:]] == [NOBODY] * 3


def test_snapshots__several_vaults__in_the_order_given(world):
    other = vault_world(asset_decimals=8)
    answer = world.lens.snapshots([other.vault.address, world.vault.address])[2]
    assert [one.vault for one in answer] == [other.vault.address, world.vault.address]
    assert [one.asset_decimals for one in answer] == [8, 18]
    assert world.lens.snapshots([])[2] == []


def test_snapshots__stale_price__shown_with_the_reason(world):
    boa.env.time_travel(seconds=HOUR + 1)
    seen = snapshot(world)
    assert not seen.price_ok
    assert seen.price_reason.rstrip(b"\0") == b"oracle: asset feed stale"
    assert seen.price_wad == 10**21
    assert seen.venues[0].margin.delta == -world.assets(100)


def test_snapshots__no_price_at_all__the_last_good_one(world):
    world.break_oracle()
    seen = snapshot(world)
    assert (seen.price_ok, seen.price_wad) == (False, world.state()["last_price_wad"])
    assert seen.price_reason.rstrip(b"\0") == b"oracle: asset feed zero"
    assert seen.price_updated_at == world.state()["last_price_at"]
    assert seen.venues[0].margin.delta == -world.assets(100)


def test_snapshots__never_a_price__accounts_are_empty():
    with boa.env.anchor():
        world = vault_world()
        world.break_oracle()
        seen = snapshot(world)
        assert (seen.price_ok, seen.price_wad) == (False, 0)
        assert seen.venues[0].venue == world.venue.address
        assert seen.venues[0].margin.maintenance == 0


def test_snapshots__insolvent_account__is_shown(world):
    world.set_price(2_000)
    seen = snapshot(world)
    assert seen.venues[0].margin.equity < 0
    venue = add_settable_venue(world)
    venue.set_account(world.book.address, (0, -(10**30), 0, 0))
    assert snapshot(world).venues[1].margin.equity == -(10**30)


def test_snapshots__new_book_without_a_vault_wired__answers(world):
    from tests.vault_world import deploy_book

    parts = {
        "asset": world.asset,
        "quote": world.quote,
        "oracle": world.base.oracle,
        "spot": world.spot,
        "guard": world.guard,
        "keeper": world.keeper,
        "guardian": world.guardian,
    }
    book = deploy_book(parts, world.limits)
    vault = deploy_vault(book, 18, 90)[0]
    seen = world.lens.snapshots([vault.address])[2][0]
    assert (seen.venue_count, seen.state.nonce, seen.total_supply) == (0, 0, 0)


def test_snapshots__25_vaults__fit_into_a_call(world):
    answer = world.lens.snapshots([world.vault.address] * 25)[2]
    assert len(answer) == 25
    assert world.lens._computation.get_gas_used() < 10_000_000
