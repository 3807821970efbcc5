# SPDX-License-Identifier: MIT
# pragma version 0.4.3
"""
@title What a change of size does to entry and balance
@notice Stateless.
@custom:units Sizes in asset units, entries and costs in quote units.
@custom:rounding Realised profit down.
"""

from interfaces import ILiquidationRules

from modules import fixed_point


@internal
@pure
def flips(size: int256, change: int256) -> bool:
    """
    @dev Whether the change turns a position around.
    """
    after: int256 = size + change
    return (size > 0 and after < 0) or (size < 0 and after > 0)


@internal
@pure
def changed(
    account: ILiquidationRules.Account, size: int256, cost: int256, closing_cost: int256
) -> (ILiquidationRules.Account, int256):
    """
    @dev The account with size and entry changed, and the profit that this realises.
         `closing_cost` is the part of `cost` that closes, used when the position turns around.
    """
    after: ILiquidationRules.Account = account
    after.size = account.size + size
    if account.size == 0 or (account.size > 0) == (size > 0):
        after.entry = account.entry + cost
        return after, 0
    if self.flips(account.size, size):
        after.entry = cost - closing_cost
        return after, -closing_cost - account.entry
    closed: int256 = fixed_point.div_ceil(account.entry * abs(size), abs(account.size))
    after.entry = account.entry - closed
    return after, -cost - closed


@internal
@pure
def taken_over(
    account: ILiquidationRules.Account, size: int256, cost: int256
) -> ILiquidationRules.Account:
    """
    @dev The account with a position taken over for `cost`; where it turns around, the part that
         closes costs its share of that. What the account realises is left out: the backstop's
         balance is the pool's.
    """
    closing_cost: int256 = 0
    if self.flips(account.size, size):
        closing_cost = fixed_point.div_ceil(cost * abs(account.size), abs(size))
    return self.changed(account, size, cost, closing_cost)[0]
