# SPDX-License-Identifier: MIT
# pragma version 0.4.3
# pragma evm-version shanghai
"""
@title A token of any decimals that anyone may mint
@notice For local chains and tests only.
@custom:units Raw token units.
@custom:rounding None.
@custom:halt Not needed.
"""

from ethereum.ercs import IERC20

import token_ledger as ledger

implements: IERC20

initializes: ledger

exports: (
    ledger.allowance,
    ledger.approve,
    ledger.balanceOf,
    ledger.decimals,
    ledger.name,
    ledger.symbol,
    ledger.totalSupply,
)


@deploy
def __init__(name: String[32], symbol: String[16], decimals: uint8):
    """
    @param decimals 0 to 18.
    """
    ledger.__init__(name, symbol, decimals)


@external
def transfer(receiver: address, amount: uint256) -> bool:
    ledger.move(msg.sender, receiver, amount)
    return True


@external
def transferFrom(owner: address, receiver: address, amount: uint256) -> bool:
    ledger.spend(owner, msg.sender, amount)
    ledger.move(owner, receiver, amount)
    return True


@external
def mint(receiver: address, amount: uint256):
    """
    @notice Create `amount` out of nothing.
    """
    ledger.create(receiver, amount)
