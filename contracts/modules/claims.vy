# SPDX-License-Identifier: MIT
# pragma version 0.4.3
"""
@title Transferable claims of many kinds: ERC-6909
@dev Not ERC-1155, because it calls who receives: a receiver that does not answer would stop an
     exit, and one that does could act in the middle of it. Nothing here calls anybody.
@custom:units Claims in raw units.
@custom:rounding Nothing is divided.
"""

from interfaces import IClaims

ERC165: constant(bytes4) = 0x01ffc9a7
ERC6909: constant(bytes4) = 0x0f632fb3

balanceOf: public(HashMap[address, HashMap[uint256, uint256]])
allowance: public(HashMap[address, HashMap[address, HashMap[uint256, uint256]]])
isOperator: public(HashMap[address, HashMap[address, bool]])


@deploy
def __init__():
    pass


@external
@view
def supportsInterface(interface_id: bytes4) -> bool:
    return interface_id in [ERC165, ERC6909]


@external
def transfer(receiver: address, id: uint256, amount: uint256) -> bool:
    self._move(msg.sender, receiver, id, amount)
    return True


@external
def transferFrom(sender: address, receiver: address, id: uint256, amount: uint256) -> bool:
    """
    @dev An allowance of all that a word holds is not used up.
    """
    if msg.sender != sender and not self.isOperator[sender][msg.sender]:
        allowed: uint256 = self.allowance[sender][msg.sender][id]
        assert amount <= allowed, "claims: not enough allowance"
        if allowed != max_value(uint256):
            self.allowance[sender][msg.sender][id] = allowed - amount
    self._move(sender, receiver, id, amount)
    return True


@external
def approve(spender: address, id: uint256, amount: uint256) -> bool:
    self.allowance[msg.sender][spender][id] = amount
    log IClaims.Approval(owner=msg.sender, spender=spender, id=id, amount=amount)
    return True


@external
def setOperator(spender: address, approved: bool) -> bool:
    """
    @notice Let `spender` move all claims of the caller, of every kind, or no longer.
    """
    self.isOperator[msg.sender][spender] = approved
    log IClaims.OperatorSet(owner=msg.sender, spender=spender, approved=approved)
    return True


@internal
def mint(receiver: address, id: uint256, amount: uint256):
    self.balanceOf[receiver][id] += amount
    self._log(empty(address), receiver, id, amount)


@internal
def burn(owner: address, id: uint256, amount: uint256):
    self._take(owner, id, amount)
    self._log(owner, empty(address), id, amount)


@internal
def _move(sender: address, receiver: address, id: uint256, amount: uint256):
    assert receiver not in [empty(address), self], "claims: bad receiver"
    self._take(sender, id, amount)
    self.balanceOf[receiver][id] += amount
    self._log(sender, receiver, id, amount)


@internal
def _take(owner: address, id: uint256, amount: uint256):
    held: uint256 = self.balanceOf[owner][id]
    assert amount <= held, "claims: not enough claims"
    self.balanceOf[owner][id] = held - amount


@internal
def _log(sender: address, receiver: address, id: uint256, amount: uint256):
    log IClaims.Transfer(caller=msg.sender, sender=sender, receiver=receiver, id=id, amount=amount)
