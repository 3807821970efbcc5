# SPDX-License-Identifier: MIT
# pragma version 0.4.3
# pragma evm-version shanghai
"""
@title A mintable token that calls a hook before and after balances change
@notice For re-entry tests only: what an ERC-777 token lets its holders do. The hook may call
     anything, this token included, so nothing here is locked.
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


interface Hook:
    def before_transfer(sender: address, receiver: address, amount: uint256): nonpayable
    def after_transfer(sender: address, receiver: address, amount: uint256): nonpayable


before_hook: public(address)  # zero: not called
after_hook: public(address)


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
    @notice Create `amount` out of nothing; no hook is called.
    """
    ledger.create(receiver, amount)


@external
def set_hooks(before_hook: address, after_hook: address):
    """
    @notice Who is called around every transfer; zero for nobody.
    """
    self.before_hook = before_hook
    self.after_hook = after_hook


@internal
def _move(sender: address, receiver: address, amount: uint256):
    if self.before_hook != empty(address):
        extcall Hook(self.before_hook).before_transfer(sender, receiver, amount)
    ledger.move(sender, receiver, amount)
    if self.after_hook != empty(address):
        extcall Hook(self.after_hook).after_transfer(sender, receiver, amount)
