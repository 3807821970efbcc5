# SPDX-License-Identifier: MIT
"""
A vault over a venue: depositors, a keeper, a trader, prices, time, donations.

Held after every step: tokens are where the ledgers say, shares add up, each account's worth is
never changed by somebody else's flow to his cost, and a plan costs the holders what it records.
Held in rules: what `max*` says can be done, previews are exact, and few calls revert.
"""

from __future__ import annotations

import boa
import pytest
from boa import BoaError
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tests.vault_world import BPS, HOUR, Leg, vault_world

HOLDERS = 3
calls = {"made": 0, "reverted": 0}
shares_of_most = st.integers(1, 100).map(lambda percent: percent / 100)
holders = st.integers(0, HOLDERS - 1)


class VaultOverVenue(RuleBasedStateMachine):
    decimals = (18, 6)

    def __init__(self):
        super().__init__()
        self._anchor = boa.env.anchor()
        self._anchor.__enter__()
        self.world = vault_world(*self.decimals)
        self.holders = [self.world.depositor(f"holder {n}") for n in range(HOLDERS)]
        self.trader = self.world.base.trader("trader", quote=10**7)
        self.price = 1_000
        self.donated = {}
        self.world.deposit(self.holders[0], 50)

    def teardown(self):
        self._anchor.__exit__(None, None, None)

    # What a share is worth to those who do not take part, as a fraction

    def rate(self):
        return self.world.vault.totalAssets() + 1, self.world.vault.totalSupply() + 1_000

    def not_lower(self, before):
        after = self.rate()
        assert after[0] * before[1] >= before[0] * after[1]

    def attempt(self, call, *reasons):
        calls["made"] += 1
        try:
            return call()
        except BoaError as error:
            refusal = str(error)
        calls["reverted"] += 1
        assert any(reason in refusal for reason in reasons), refusal
        return None

    @rule(who=holders, part=shares_of_most, by_shares=st.booleans())
    def enter(self, who, part, by_shares):
        vault, holder = self.world.vault, self.holders[who]
        most = vault.maxMint(holder) if by_shares else vault.maxDeposit(holder)
        amount = int(most * part)
        least = vault.MIN_SUPPLY() * (1 if by_shares else 2) // (1 if by_shares else 1_000)
        if amount <= least:
            return
        before, call = self.rate(), vault.mint if by_shares else vault.deposit
        expected = vault.previewMint(amount) if by_shares else vault.previewDeposit(amount)
        calls["made"] += 1
        assert call(amount, holder, sender=holder) == expected
        self.not_lower(before)

    @rule(who=holders, part=shares_of_most, by_shares=st.booleans())
    def leave(self, who, part, by_shares):
        vault, holder = self.world.vault, self.holders[who]
        most = vault.maxRedeem(holder) if by_shares else vault.maxWithdraw(holder)
        amount = int(most * part)
        if amount <= vault.MIN_SUPPLY():
            return
        shares = amount if by_shares else vault.previewWithdraw(amount)
        rest = vault.totalSupply() - shares
        if 0 < rest < vault.MIN_SUPPLY():
            return
        before, call = self.rate(), vault.redeem if by_shares else vault.withdraw
        expected = vault.previewRedeem(amount) if by_shares else shares
        calls["made"] += 1
        assert call(amount, holder, holder, sender=holder) == expected
        if rest:
            self.not_lower(before)

    @rule(part=st.integers(50, 100))
    def hedge(self, part):
        """The keeper trades most of the gap and puts margin at four times maintenance."""
        world, gap = self.world, self.world.gap()
        equity = world.equity()
        if equity <= world.limits["min_equity"] or abs(gap) * BPS <= equity * 110:
            return
        size = -gap * part // 100
        margin = world.margin()
        short = abs(margin.delta + size)
        wanted = short * 14 // 100 - margin.equity * world.base.divisor() // world.price()
        moved = min(max(wanted, 0), world.vault.idle_assets())
        worth = world.vault.totalAssets()
        reasons = ("cooldown", "budget", "margin", "allotment", "drift", "premium cap", "slippage")
        record = self.attempt(lambda: world.rebalance(Leg(moved, 0, size)), *reasons)
        if record is not None:
            divisor, price = world.base.divisor(), world.price()
            lost = record.cost * divisor // price
            roundings = 2 + 2 * -(-divisor // price)  # units of the asset and of the quote
            assert abs(worth - world.vault.totalAssets() - lost) <= roundings
            assert record.nav_before - record.nav_after == record.cost

    @rule(part=st.integers(1, 30))
    def settle_profit(self, part):
        """Sell spot and close as much of the short: neutral."""
        world = self.world
        size = min(world.vault.idle_assets(), max(-world.margin().delta, 0)) * part // 100
        if size < world.assets("0.1"):
            return
        reasons = ("cooldown", "budget", "under target", "drift moved", "allotment")
        self.attempt(lambda: world.rebalance(Leg(size=size), spot_assets=-size), *reasons)

    @rule(part=shares_of_most)
    def return_margin(self, part):
        """Take out most of what is free."""
        free = self.world.book.free_assets(self.world.price())
        amount = int(free * part * 0.9)
        if amount:
            calls["made"] += 1
            self.world.rebalance(Leg(margin_assets=-amount))

    @rule(step_bps=st.integers(-600, 600))
    def move_price(self, step_bps):
        self.price = min(max(self.price * (BPS + step_bps) / BPS, 700), 1_400)
        self.world.set_price(round(self.price, 2))

    @rule(
        leaving=st.lists(st.tuples(holders, shares_of_most), min_size=1, max_size=4),
        step_bps=st.integers(-600, 600),
    )
    def have_no_price_for_days(self, leaving, step_bps):
        """Some leave in kind; when the price is back it is settled, and they are paid in shares."""
        world, vault = self.world, self.world.vault
        boa.env.time_travel(seconds=1)  # the book has seen a price in this second
        world.open_exit()
        supply, many = vault.totalSupply(), 10**30
        for who, part in leaving:
            self.leave_in_kind(self.holders[who], part, many)
        assert vault.totalSupply() == supply
        self.price = min(max(self.price * (BPS + step_bps) / BPS, 700), 1_400)
        world.set_price(round(self.price, 2))
        hollow = world.exit.hollow_shares()
        if hollow == 0:
            world.exit.retract()
            return
        worth, total = vault.convertToAssets(many), vault.totalAssets()
        assert vault.maxRedeem(self.holders[0]) == vault.maxDeposit(self.holders[0]) == 0
        assert world.exit.settle()
        assert vault.convertToAssets(many) >= worth
        assert vault.totalAssets() == total
        self.redeem_claims(hollow)

    def leave_in_kind(self, holder, part, many):
        """Leave with a part of one's shares; the others are worth no less."""
        world, vault = self.world, self.world.vault
        shares = int(vault.balanceOf(holder) * part)
        full = vault.totalSupply() - world.exit.hollow_shares()
        if shares == 0 or 0 < full - shares < vault.MIN_SUPPLY():
            return
        calls["made"] += 1
        worth = vault.convertToAssets(many)
        idle = vault.idle_assets(), world.state()["idle_quote"]
        paid = world.leave_in_kind(holder, shares)
        assert (vault.idle_assets() + paid[0], world.state()["idle_quote"] + paid[1]) == idle
        if full != shares:
            assert vault.convertToAssets(many) >= worth

    def redeem_claims(self, hollow):
        """All claims of the last round are redeemed, and nothing of it is left."""
        leaving = self.world.exit
        number = leaving.round() - 1
        held = [leaving.balanceOf(holder, number) for holder in self.holders]
        assert sum(held) == hollow
        if leaving.round_of(number).shares:
            for holder, claims in zip(self.holders, held, strict=True):
                if claims * leaving.round_of(number).shares >= leaving.round_of(number).claims > 0:
                    leaving.redeem(number, claims, holder, sender=holder)
            assert self.world.vault.balanceOf(leaving.address) <= HOLDERS

    @rule(hours=st.integers(1, 12))
    def wait(self, hours):
        for _ in range(hours):
            self.world.pass_time(HOUR)

    @rule(size=st.integers(-300, 300).filter(bool))
    def trade(self, size):
        """Somebody else moves the skew."""
        self.attempt(lambda: self.world.base.trade(self.trader, size), "venue:")

    @rule(
        token=st.sampled_from(["asset", "quote"]),
        receiver=st.sampled_from(["vault", "book", "venue"]),
        exponent=st.integers(0, 24),
    )
    def donate(self, token, receiver, exponent):
        before = self.rate()
        target = getattr(self.world, receiver).address
        getattr(self.world, token).mint(target, 10**exponent)
        key = (token, receiver)
        self.donated[key] = self.donated.get(key, 0) + 10**exponent
        assert self.rate() == before

    @invariant()
    def tokens_are_where_the_ledgers_say(self):
        world, given = self.world, self.donated
        held = world.asset.balanceOf(world.vault.address)
        assert held == world.vault.idle_assets() + given.get(("asset", "vault"), 0)
        assert world.asset.balanceOf(world.book.address) == given.get(("asset", "book"), 0)
        quote = world.quote.balanceOf(world.book.address)
        assert quote == world.state()["idle_quote"] + given.get(("quote", "book"), 0)
        assert world.quote.balanceOf(world.vault.address) == given.get(("quote", "vault"), 0)
        for token in (world.asset, world.quote):
            for spender in (world.venue, world.spot):
                assert token.allowance(world.book.address, spender.address) == 0

    @invariant()
    def shares_add_up(self):
        vault = self.world.vault
        supply = vault.totalSupply()
        left = vault.balanceOf(self.world.exit.address)  # claims that are worth no share
        assert supply == sum(vault.balanceOf(holder) for holder in self.holders) + left
        assert supply == 0 or supply >= vault.MIN_SUPPLY()

    @invariant()
    def views_never_revert_and_claims_are_covered(self):
        vault = self.world.vault
        worth = sum(vault.convertToAssets(vault.balanceOf(h)) for h in self.holders)
        assert worth <= vault.totalAssets() + 1
        for holder in self.holders:
            assert vault.maxWithdraw(holder) <= vault.totalAssets()
            vault.maxDeposit(holder)


@pytest.mark.parametrize("decimals", [(18, 6), (8, 18)], ids=str)
def test_vault_over_venue__random_users_prices_and_time(decimals):
    from hypothesis.stateful import run_state_machine_as_test

    calls.update(made=0, reverted=0)
    machine = type("Machine", (VaultOverVenue,), {"decimals": decimals})
    run_state_machine_as_test(machine, settings=settings(max_examples=6, stateful_step_count=25))
    print(f"{calls['reverted']} of {calls['made']} calls reverted")
    assert calls["reverted"] * 5 < calls["made"]
