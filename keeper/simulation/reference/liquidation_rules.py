# SPDX-License-Identifier: MIT
"""
The arithmetic of failure (`LiquidationRules.vy`).

A liquidation of x costs the account x * S * penalty + reward and leaves it at the initial margin
of what remains, at the rate iota before, when

    x = (iota * N + reward - E) / (S * (iota - penalty)), rounded up;

all of it when x >= |q|, when the rest would be under the minimum size, or when E <= 0. The
position moves to the backstop at S * (1 -+ penalty).
"""

from __future__ import annotations

from typing import NamedTuple

from keeper.simulation.reference.margin_rules import MarginRules
from keeper.simulation.reference.position import Account, changed, taken_over
from keeper.simulation.reference.reverted import require
from keeper.simulation.reference.terms import Terms
from keeper.units import WAD, mul_div_down, positive_part

REWARDED_GAS = 300_000  # a liquidation that draws on the fund, and a margin
TIP = 10**9  # wei a gas


class Outcome(NamedTuple):
    """What a liquidation does (`ILiquidationRules.Outcome`)."""

    equity_before: int
    maintenance: int
    size: int  # taken by the backstop, sign of the position
    size_after: int
    entry_after: int
    quote_after: int
    assets_sold: int
    penalty: int
    fund_penalty: int
    reward: int
    reward_unpaid: int
    loss: int
    backstop_size_after: int
    backstop_entry_after: int


class Payment(NamedTuple):
    """Who gets what of a failed account's money."""

    quote_after: int
    reward: int
    penalty: int
    assets_sold: int = 0
    reward_unpaid: int = 0
    loss: int = 0


class LiquidationRules:
    """
    The liquidation terms of one venue.

    Parameters
    ----------
    margins, terms
        Of the venue.
    gas_divisor : int
        quote = wei * price_wad / gas_divisor. The asset is taken to be the coin of gas.

    Attributes
    ----------
    base_fee : int
        Of the block that runs, wei a gas; the reward follows it.
    """

    __slots__ = ("base_fee", "gas_divisor", "margins", "terms")

    def __init__(self, margins: MarginRules, terms: Terms, gas_divisor: int) -> None:
        self.margins = margins
        self.terms = terms
        self.gas_divisor = gas_divisor
        self.base_fee = 0

    def outcome(self, account: Account, backstop: Account, price_wad: int) -> Outcome:
        """Return what liquidating the account does to it and to the backstop; refuse a healthy."""
        margins, size = self.margins, abs(account.size)
        equity = margins.equity(account, price_wad)
        maintenance = margins.required(size, price_wad)[1]
        require(equity < maintenance, "venue: account is healthy")
        part, asked = self._liquidated_size(size, equity, price_wad)
        taken = part if account.size > 0 else -part
        penalty = margins.share_up(part, price_wad, self.terms.penalty_wad)
        cost = margins.value_up(-taken, price_wad)
        left, realised = changed(account, -taken, cost, 0)
        left = left._replace(quote=left.quote + realised)
        paid = self._payment(left, asked, penalty, price_wad)
        stop = taken_over(backstop, taken, -cost - penalty)
        return Outcome(
            equity_before=equity,
            maintenance=maintenance,
            size=taken,
            size_after=left.size,
            entry_after=left.entry,
            quote_after=paid.quote_after,
            assets_sold=paid.assets_sold,
            penalty=paid.penalty,
            fund_penalty=mul_div_down(paid.penalty, self.terms.fund_share_wad, WAD),
            reward=paid.reward,
            reward_unpaid=paid.reward_unpaid,
            loss=paid.loss,
            backstop_size_after=stop.size,
            backstop_entry_after=stop.entry,
        )

    def assess(self, account: Account, price_wad: int) -> tuple[bool, int, int]:
        """Return whether the account fails, the size that would be taken, the reward asked."""
        size = abs(account.size)
        equity = self.margins.equity(account, price_wad)
        if equity >= self.margins.required(size, price_wad)[1]:
            return False, 0, 0
        return True, *self._liquidated_size(size, equity, price_wad)

    def _liquidated_size(self, size: int, equity: int, price_wad: int) -> tuple[int, int]:
        """Return the size that the backstop takes, and the reward asked for it."""
        terms, margins = self.terms, self.margins
        asked = self._reward(size, price_wad)
        if equity <= 0 or price_wad == 0:
            return size, asked
        rate = margins.initial_rate(size)
        target = margins.share_up(size, price_wad, rate) + asked
        lacking = positive_part(target - equity)
        part = margins.assets_for(lacking, price_wad, rate - terms.penalty_wad)
        if part >= size or size - part < terms.min_size:
            return size, asked
        return part, asked

    def _reward(self, size: int, price_wad: int) -> int:
        """Return what the call costs, between floor and cap, at most a share of notional."""
        terms = self.terms
        spent = mul_div_down(REWARDED_GAS * (self.base_fee + TIP), price_wad, self.gas_divisor)
        asked = min(max(spent, terms.reward_floor), terms.reward_cap)
        return min(asked, self.margins.share_down(size, price_wad, terms.reward_share_wad))

    def _payment(self, left: Account, asked: int, penalty: int, price_wad: int) -> Payment:
        """Take reward and penalty off the quote; sell asset margin where all is taken."""
        if left.size != 0:
            return Payment(left.quote - (asked + penalty), asked, penalty)
        has, sold = left.quote, 0
        lacking = positive_part(asked + penalty - has)
        if lacking > 0 and left.assets > 0:
            share = WAD - self.terms.discount_wad
            sold = min(left.assets, self.margins.assets_for(lacking, price_wad, share))
            has += self.margins.share_down(sold, price_wad, share)
        there = positive_part(has)
        reward = min(asked, there)
        paid_penalty = min(penalty, there - reward)
        return Payment(
            quote_after=there - reward - paid_penalty,
            reward=reward,
            penalty=paid_penalty,
            assets_sold=sold,
            reward_unpaid=asked - reward,
            loss=positive_part(-has),
        )
