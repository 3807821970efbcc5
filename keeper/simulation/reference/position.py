# SPDX-License-Identifier: MIT
"""What a change of size does to entry and balance (`modules/position.vy`)."""

from __future__ import annotations

from typing import NamedTuple

from keeper.units import div_ceil


class Account(NamedTuple):
    """The numbers of an account, as stored (`ILiquidationRules.Account`)."""

    assets: int = 0  # asset margin, asset units
    quote: int = 0  # signed balance; negative is a loan from the pool
    size: int = 0  # asset units, long positive
    entry: int = 0  # quote paid for the position, sign of the size
    funding_index_wad: int = 0  # of its side, when it was last settled
    settled_at: int = 0  # Unix seconds, if it was in debt then


EMPTY = Account()


def flips(size: int, change: int) -> bool:
    """Return whether the change turns a position around."""
    return size * (size + change) < 0


def changed(account: Account, size: int, cost: int, closing_cost: int) -> tuple[Account, int]:
    """
    Return the account with size and entry changed, and the profit that this realises, down.

    `closing_cost` is the part of `cost` that closes, used when the position turns around.
    """
    assets, quote, before, entry, index_wad, settled_at = account
    after = before + size
    if before == 0 or (before > 0) == (size > 0):
        return Account(assets, quote, after, entry + cost, index_wad, settled_at), 0
    if flips(before, size):
        turned = Account(assets, quote, after, cost - closing_cost, index_wad, settled_at)
        return turned, -closing_cost - entry
    closed = div_ceil(entry * abs(size), abs(before))
    return Account(assets, quote, after, entry - closed, index_wad, settled_at), -cost - closed


def taken_over(account: Account, size: int, cost: int) -> Account:
    """
    Return the account with a position taken over for `cost`.

    Where it turns around, the part that closes costs its share of that. What the account
    realises is left out: the backstop's balance is the pool's.
    """
    closing_cost = 0
    if flips(account.size, size):
        closing_cost = div_ceil(cost * abs(account.size), abs(size))
    return changed(account, size, cost, closing_cost)[0]
