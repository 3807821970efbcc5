# SPDX-License-Identifier: MIT
"""What an exit in kind pays, what it leaves to the others, and what stands still after it."""

from __future__ import annotations

import boa
import pytest

from tests.market_world import NOBODY
from tests.vault_world import DAY, Leg, event, vault_world

VIRTUAL = 1_000


@pytest.fixture(scope="module", params=[(18, 6), (6, 18), (8, 6)], ids=str)
def built(request):
    """One leaves and one stays, 60 and 40; 30 assets are margin and 10 were sold for quote."""
    with boa.env.anchor():
        yield hedged(request.param)


def hedged(decimals):
    world = vault_world(*decimals)
    leaver, stayer = world.depositor("leaver"), world.depositor("stayer")
    world.deposit(leaver, 60)
    world.deposit(stayer, 40)
    world.rebalance(Leg(margin_assets=world.assets(30), size=-world.assets(100)))
    world.pass_time(world.limits["cooldown_secs"])
    world.rebalance(Leg(size=world.assets(10)), spot_assets=-world.assets(10))
    world.pass_time(60)
    return world, leaver, stayer


@pytest.fixture
def world(built):
    with boa.env.anchor():
        built[0].open_exit()
        yield built[0]


@pytest.fixture
def leaver(built):
    return built[1]


@pytest.fixture
def stayer(built):
    return built[2]


def some(world):
    """Return the shares of a tenth of an asset."""
    return world.assets(1) * 100


def idle(world):
    return world.vault.idle_assets(), world.state()["idle_quote"]


def worth(world):
    """Return what a great many shares are worth to who stays, at the last good price."""
    return world.vault.convertToAssets(world.vault.totalSupply())


def test_exit__part__its_share_of_both_idle_tokens(world, leaver):
    assets, quote = idle(world)
    shares, supply = world.vault.balanceOf(leaver) // 2, world.vault.totalSupply()
    had = world.asset.balanceOf(leaver), world.quote.balanceOf(leaver)
    got = world.leave_in_kind(leaver, shares)
    whole = supply + VIRTUAL
    assert got == (assets * shares // whole, quote * shares // whole)
    assert min(got) > 0
    assert (world.asset.balanceOf(leaver), world.quote.balanceOf(leaver)) == (
        had[0] + got[0],
        had[1] + got[1],
    )
    assert idle(world) == (assets - got[0], quote - got[1])
    assert world.vault.balanceOf(world.exit.address) == world.exit.hollow_shares() == shares
    assert world.exit.balanceOf(leaver, 0) == shares
    assert world.vault.totalSupply() == supply


def test_exit__events__tell_it_all(world, leaver):
    shares = world.vault.balanceOf(leaver)
    got = world.leave_in_kind(leaver, shares)
    said = event(world.exit, "ExitedInKind")
    assert (said.round, said.owner, said.receiver, said.shares) == (0, leaver, leaver, shares)
    assert (said.assets, said.quote, said.hollow_after) == (*got, shares)
    logs = {type(log).__name__: log for log in world.exit.get_logs()}
    assert (logs["PaidInKind"].assets, logs["PaidInKind"].shares) == (got[0], shares)
    assert logs["PaidInKind"].idle_assets_after == world.vault.idle_assets()
    assert logs["QuotePaidInKind"].quote == got[1]
    assert logs["QuotePaidInKind"].idle_quote_after == world.state()["idle_quote"]


def test_exit__in_pieces__as_at_once(world, leaver):
    """Hollow shares get no part of what is idle; rounding is the vault's, a unit a piece."""
    shares = world.vault.balanceOf(leaver)
    with boa.env.anchor():
        at_once = world.leave_in_kind(leaver, shares)
    pieces = [world.leave_in_kind(leaver, shares // 4) for _ in range(3)]
    pieces.append(world.leave_in_kind(leaver, world.vault.balanceOf(leaver)))
    for token in (0, 1):
        assert 0 <= at_once[token] - sum(piece[token] for piece in pieces) <= 4


def test_exit__who_stays__is_worth_what_he_was_and_the_charge(world, leaver):
    """
    90 bp of 60 % of the 70 that are idle: 0.378 for the 40 of him who stays, 94.5 bp, and a little
    more because he entered second, and paid for it.
    """
    before = worth(world)
    world.leave_in_kind(leaver, world.vault.balanceOf(leaver))
    assert 94 <= (worth(world) - before) * 10**4 / before <= 96


def test_exit__without_base_charge__to_the_unit(world, leaver):
    world.vault.eval("self._ledger = packed.replace(self._ledger, 0, 128, 16)")
    before = worth(world)
    world.leave_in_kind(leaver, world.vault.balanceOf(leaver) // 3)
    world.leave_in_kind(leaver, world.vault.balanceOf(leaver))
    assert 0 <= worth(world) - before <= 10**2 * before // 10**6


def test_exit__everything_moves_out_only__after_it_all_stands_still(world, leaver, stayer):
    world.leave_in_kind(leaver, some(world))
    world.set_price(1_000)
    vault, unsettled = world.vault, "vault: exits in kind unsettled"
    unit = world.assets(1)
    for call in (
        lambda: vault.deposit(unit, stayer, sender=stayer),
        lambda: vault.mint(10 * some(world), stayer, sender=stayer),
        lambda: vault.withdraw(unit, stayer, stayer, sender=stayer),
        lambda: vault.redeem(10 * some(world), stayer, stayer, sender=stayer),
        lambda: vault.release(1, sender=world.book.address),
        lambda: vault.credit(1, sender=world.book.address),
        lambda: vault.previewDeposit(unit),
        lambda: vault.previewRedeem(10 * some(world)),
        vault.settled_idle_assets,
        lambda: world.rebalance(Leg(margin_assets=unit)),
        lambda: world.rebalance(Leg(margin_quote=world.quotes(1))),
        lambda: world.rebalance(Leg(margin_quote=-world.quotes(1))),
        lambda: world.rebalance(Leg(size=-world.assets(5))),
    ):
        with boa.env.anchor(), boa.reverts(unsettled):
            call()
    maxima = (vault.maxDeposit, vault.maxMint, vault.maxWithdraw, vault.maxRedeem)
    assert [most(stayer) for most in maxima] == [0] * 4
    assert vault.totalAssets() > 0


def test_exit__queue_and_fallback__wait_as_well(world, leaver, stayer):
    world.set_price(1_000)
    world.exit.retract()
    world.request(stayer, 10 * some(world))
    world.open_exit()
    world.leave_in_kind(leaver, some(world))
    world.set_price(1_400)  # due: margin is short
    world.book.flag()
    world.become_due()
    with boa.reverts("vault: exits in kind unsettled"):
        world.queue.process(1)
    leg = (world.venue.address, 0, 0, world.quotes(10), 0, 0)
    with boa.reverts("vault: exits in kind unsettled"):
        world.book.fall_back(leg, 0, stayer, sender=stayer)


def test_exit__shares_in_the_queue__are_full_ones(world, leaver, stayer):
    world.set_price(1_000)
    world.exit.retract()
    world.request(stayer, world.vault.balanceOf(stayer))
    world.open_exit()
    assets = idle(world)[0]
    shares, supply = world.vault.balanceOf(leaver), world.vault.totalSupply()
    assert world.leave_in_kind(leaver, shares)[0] == assets * shares // (supply + VIRTUAL)
    world.queue.cancel(0, sender=stayer)
    rest = idle(world)[0]
    got = world.leave_in_kind(stayer, world.vault.balanceOf(stayer))[0]
    assert 0 <= rest - got <= rest // 10**3


def test_exit__reserved_assets_of_the_queue__are_outside(world, leaver, stayer):
    world.set_price(1_000)
    world.request(stayer, 10 * some(world))
    world.become_due()
    world.queue.process(1)
    reserved = world.queue.reserved_assets()
    world.pass_time(60)
    world.open_exit()
    world.leave_in_kind(leaver, world.vault.balanceOf(leaver))
    assert world.asset.balanceOf(world.queue.address) == reserved
    assert world.queue.claim(stayer) == reserved


def test_exit__by_allowance_of_the_owner(world, leaver, stayer):
    shares = some(world)
    with boa.reverts("erc20: insufficient allowance"):
        world.exit.exit(shares, stayer, leaver, 0, 0, sender=stayer)
    world.vault.approve(stayer, shares, sender=leaver)
    world.exit.exit(shares, stayer, leaver, 0, 0, sender=stayer)
    assert world.vault.allowance(leaver, stayer) == 0
    assert world.exit.balanceOf(stayer, 0) == shares
    assert world.exit.balanceOf(leaver, 0) == 0


def test_exit__bounds_and_receivers__refused(world, leaver):
    shares = world.vault.balanceOf(leaver) // 2
    with boa.env.anchor():
        assets, quote = world.leave_in_kind(leaver, shares)
    run = world.exit.exit
    with boa.reverts("exit: fewer assets than asked"):
        run(shares, leaver, leaver, assets + 1, 0, sender=leaver)
    with boa.reverts("exit: less quote than asked"):
        run(shares, leaver, leaver, 0, quote + 1, sender=leaver)
    with boa.reverts("exit: zero shares"):
        run(0, leaver, leaver, 0, 0, sender=leaver)
    places = world.exit, world.vault, world.book, world.queue
    for receiver in (NOBODY, *(place.address for place in places)):
        with boa.reverts("exit: bad receiver"):
            run(shares, receiver, leaver, 0, 0, sender=leaver)
    with boa.reverts("erc20: transfer amount exceeds balance"):
        run(2 * shares + 2, leaver, leaver, 0, 0, sender=leaver)
    run(shares, leaver, leaver, assets, quote, sender=leaver)


def test_exit__full_shares_left__none_or_the_minimum(world, leaver, stayer):
    world.leave_in_kind(leaver, world.vault.balanceOf(leaver))
    shares, least = world.vault.balanceOf(stayer), world.vault.MIN_SUPPLY()
    with boa.reverts("vault: supply under minimum"):
        world.leave_in_kind(stayer, shares - least + 1)
    with boa.env.anchor():
        world.leave_in_kind(stayer, shares - least)
    world.leave_in_kind(stayer, shares)
    assert world.exit.hollow_shares() == world.vault.totalSupply()


def test_exit__dust__pays_nothing_and_claims(world, leaver):
    assert world.leave_in_kind(leaver, 1)[0] == 0
    assert world.exit.balanceOf(leaver, 0) == 1


def test_exit__shares_sent_to_the_escrow__stay_full(world, leaver, stayer):
    assets, supply = idle(world)[0], world.vault.totalSupply()
    world.vault.transfer(world.exit.address, some(world), sender=stayer)
    shares = world.vault.balanceOf(leaver)
    assert world.leave_in_kind(leaver, shares)[0] == assets * shares // (supply + VIRTUAL)
    world.set_price(1_000)
    world.exit.settle()
    world.exit.redeem(0, shares, leaver, sender=leaver)
    assert world.vault.balanceOf(world.exit.address) == some(world)


def test_exit__tokens_given_to_vault_or_book__change_nothing(world, leaver):
    with boa.env.anchor():
        expected = world.leave_in_kind(leaver, some(world))
    world.asset.mint(world.vault.address, world.assets(1_000))
    world.quote.mint(world.book.address, world.quotes(1_000))
    assert world.leave_in_kind(leaver, some(world)) == expected


@pytest.mark.parametrize("name", ["pay_in_kind", "settle_in_kind"])
def test_vault_and_book__called_by_others__refused(world, leaver, name):
    arguments = {"pay_in_kind": (1, 0, leaver, leaver, leaver), "settle_in_kind": (0,)}[name]
    for caller in (leaver, world.keeper, world.book.address, boa.env.eoa):
        with boa.reverts("vault: caller is not the exit"):
            getattr(world.vault, name)(*arguments, sender=caller)
        with boa.reverts("book: caller is not the vault"):
            world.book.pay_in_kind(1, 1, leaver, sender=caller)


def test_exit__again_after_months__with_a_new_announcement(world, leaver, stayer):
    world.leave_in_kind(leaver, some(world))
    boa.env.time_travel(seconds=40 * DAY)
    with boa.reverts("exit: announcement lapsed"):
        world.leave_in_kind(stayer, some(world))
    world.open_exit()
    world.leave_in_kind(stayer, some(world))
    assert world.exit.round() == 0
