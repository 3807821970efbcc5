# SPDX-License-Identifier: MIT
# pragma version 0.4.3
# pragma evm-version shanghai
"""
@title An attacker that re-enters from the hooks of CallbackToken
@notice For tests only. `arm` it with a call; at the next hook it makes the call once, keeps
     what came back and lets the transfer go on. With `execute` it acts as an ordinary caller,
     so it can be depositor, trader or keeper itself.
@custom:units None.
@custom:rounding None.
@custom:halt Not needed.
"""

MAX_CALLDATA: constant(uint256) = 8_192  # bytes
MAX_RESPONSE: constant(uint256) = 2_048  # bytes

target: public(address)  # zero when not armed
call_data: public(Bytes[MAX_CALLDATA])
attempts: public(uint256)  # re-entries made since deployment
succeeded: public(bool)  # the last one
response: public(Bytes[MAX_RESPONSE])  # of the last one


@external
def arm(target: address, call_data: Bytes[MAX_CALLDATA]):
    """
    @notice Call `target` with `call_data` at the next hook.
    """
    self.target = target
    self.call_data = call_data


@external
def execute(target: address, call_data: Bytes[MAX_CALLDATA]) -> Bytes[MAX_RESPONSE]:
    """
    @notice Call as this contract now; a revert passes through.
    """
    return raw_call(target, call_data, max_outsize=MAX_RESPONSE)


@external
def before_transfer(sender: address, receiver: address, amount: uint256):
    self._reenter()


@external
def after_transfer(sender: address, receiver: address, amount: uint256):
    self._reenter()


@internal
def _reenter():
    target: address = self.target
    if target == empty(address):
        return
    self.target = empty(address)
    self.attempts += 1
    self.succeeded, self.response = raw_call(
        target, self.call_data, max_outsize=MAX_RESPONSE, revert_on_failure=False
    )
