# SPDX-License-Identifier: MIT
# pragma version 0.4.3
# pragma evm-version shanghai
"""
@title A mintable token that refuses to move to or from listed accounts
@notice For tests only: what USDC does to a frozen account.
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

blacklisted: public(HashMap[address, bool])


@deploy
def __init__(name: String[32], symbol: String[16], decimals: uint8):
    """
    @param decimals 0 to 18.
    """
    ledger.__init__(name, symbol, decimals)


@external
def transfer(receiver: address, amount: uint256) -> bool:
    self._move(msg.sender, receiver, amount)
    return True


@external
def transferFrom(owner: address, receiver: address, amount: uint256) -> bool:
    ledger.spend(owner, msg.sender, amount)
    self._move(owner, receiver, amount)
    return True


@external
def mint(receiver: address, amount: uint256):
    """
    @notice Create `amount` out of nothing.
    """
    ledger.create(receiver, amount)


@external
def set_blacklisted(account: address, listed: bool):
    """
    @notice Anyone may list anyone.
    """
    self.blacklisted[account] = listed


@internal
def _move(sender: address, receiver: address, amount: uint256):
    assert not self.blacklisted[sender], "token: sender is blacklisted"
    assert not self.blacklisted[receiver], "token: receiver is blacklisted"
    ledger.move(sender, receiver, amount)
