# SPDX-License-Identifier: MIT
# pragma version 0.4.3
"""
@title The ledger of a token for tests: balances, allowances, supply
@notice Mechanism only. The contract that initializes it decides who mints and what happens
     around a transfer.
@custom:units Raw token units.
@custom:rounding None.
@custom:halt Not needed: test tokens hold no value.
"""

from ethereum.ercs import IERC20

MAX_DECIMALS: constant(uint8) = 18

name: public(String[32])
symbol: public(String[16])
decimals: public(uint8)
totalSupply: public(uint256)
balanceOf: public(HashMap[address, uint256])
allowance: public(HashMap[address, HashMap[address, uint256]])


@deploy
def __init__(name_: String[32], symbol_: String[16], decimals_: uint8):
    assert decimals_ <= MAX_DECIMALS, "token: decimals over 18"
    self.name = name_
    self.symbol = symbol_
    self.decimals = decimals_


@external
def approve(spender: address, amount: uint256) -> bool:
    """
    @notice Let `spender` take up to `amount`; the maximum is not used up.
    """
    self.allowance[msg.sender][spender] = amount
    log IERC20.Approval(owner=msg.sender, spender=spender, value=amount)
    return True


@internal
def move(sender: address, receiver: address, amount: uint256):
    assert receiver != empty(address), "token: receiver is zero"
    assert self.balanceOf[sender] >= amount, "token: balance too small"
    self.balanceOf[sender] -= amount
    self.balanceOf[receiver] += amount
    log IERC20.Transfer(sender=sender, receiver=receiver, value=amount)


@internal
def spend(owner: address, spender: address, amount: uint256):
    allowed: uint256 = self.allowance[owner][spender]
    assert allowed >= amount, "token: allowance too small"
    if allowed != max_value(uint256):
        self.allowance[owner][spender] = allowed - amount


@internal
def create(receiver: address, amount: uint256):
    assert receiver != empty(address), "token: receiver is zero"
    self.totalSupply += amount
    self.balanceOf[receiver] += amount
    log IERC20.Transfer(sender=empty(address), receiver=receiver, value=amount)
