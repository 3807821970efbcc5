# SPDX-License-Identifier: MIT
"""
The commonest instructions of py-evm, done in fewer steps; same stack, memory, gas and errors.

py-evm checks each operand several times and passes it through four calls; in tests of contracts
that is most of the time. Here an instruction works on the list of the stack; when that is too
short or too long, py-evm's own function runs instead and raises what it always raised. A test
runs the same calls with and without these and compares results, gas and what was changed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

from eth.vm.computation import BaseComputation
from eth.vm.opcode import _FastOpcode

Logic = Callable[[Any], None]

LARGEST: Final = 2**256 - 1
SIGN: Final = 1 << 255
FULL: Final = 1_024
JUMPDEST: Final = 0x5B
PUSH1, PUSH32 = 0x60, 0x7F


def _int(value: int | bytes) -> int:
    return value if type(value) is int else int.from_bytes(value, "big")


def _signed(value: int) -> int:
    return value - (1 << 256) if value & SIGN else value


@lru_cache(maxsize=256)
def jump_destinations(code: bytes) -> frozenset[int]:
    """Return where code may be entered by a jump: not inside what an instruction pushes."""
    found, position = [], 0
    while position < len(code):
        opcode = code[position]
        if opcode == JUMPDEST:
            found.append(position)
        position += opcode - PUSH1 + 2 if PUSH1 <= opcode <= PUSH32 else 1
    return frozenset(found)


def _call(self: Any, computation: Any) -> None:
    meter, cost = computation._gas_meter, self.gas_cost
    if cost > meter.gas_remaining:
        meter.consume_gas(cost, self.mnemonic)  # raises
    meter.gas_remaining -= cost
    self.logic_fn(computation)


def _extend_memory(whole: Callable[[Any, int, int], None]) -> Callable[[Any, int, int], None]:
    def extend(computation: Any, start: int, size: int) -> None:
        if start + size > len(computation._memory._bytes):
            whole(computation, start, size)

    return extend


def _push(size: int) -> Callable[[Logic], Logic]:
    def made(whole: Logic) -> Logic:
        def push(computation: Any) -> None:
            code, values = computation.code, computation._stack.values
            start = code.program_counter
            end = start + size
            if len(values) >= FULL or end > code._length_cache:
                return whole(computation)
            code.program_counter = end
            values.append(int.from_bytes(code._raw_code_bytes[start:end], "big"))
            return None

        return push

    return made


def _dup(position: int) -> Callable[[Logic], Logic]:
    def made(whole: Logic) -> Logic:
        def dup(computation: Any) -> None:
            values = computation._stack.values
            if position <= len(values) < FULL:
                values.append(values[-position])
            else:
                whole(computation)

        return dup

    return made


def _swap(position: int) -> Callable[[Logic], Logic]:
    def made(whole: Logic) -> Logic:
        def swap(computation: Any) -> None:
            values = computation._stack.values
            if position < len(values):
                values[-1], values[-1 - position] = values[-1 - position], values[-1]
            else:
                whole(computation)

        return swap

    return made


def _binary(operation: Callable[[int, int], int]) -> Callable[[Logic], Logic]:
    """Make an instruction of two operands, the upper one first."""

    def made(whole: Logic) -> Logic:
        def binary(computation: Any) -> None:
            values = computation._stack.values
            if len(values) < 2:
                return whole(computation)
            upper, lower = values.pop(), values[-1]
            if type(upper) is not int:
                upper = int.from_bytes(upper, "big")
            if type(lower) is not int:
                lower = int.from_bytes(lower, "big")
            values[-1] = operation(upper, lower)
            return None

        return binary

    return made


def _iszero(whole: Logic) -> Logic:
    def iszero(computation: Any) -> None:
        values = computation._stack.values
        if values:
            values[-1] = 0 if _int(values[-1]) else 1
        else:
            whole(computation)

    return iszero


def _pop(whole: Logic) -> Logic:
    def pop(computation: Any) -> None:
        values = computation._stack.values
        if values:
            del values[-1]
        else:
            whole(computation)

    return pop


def _jump(whole: Logic) -> Logic:
    def jump(computation: Any) -> None:
        code, values = computation.code, computation._stack.values
        target = _int(values[-1]) if values else LARGEST
        if target not in jump_destinations(code._raw_code_bytes):
            return whole(computation)
        del values[-1]
        code.program_counter = target
        return None

    return jump


def _jumpi(whole: Logic) -> Logic:
    def jumpi(computation: Any) -> None:
        code, values = computation.code, computation._stack.values
        if len(values) < 2:
            return whole(computation)
        if _int(values[-2]):
            target = _int(values[-1])
            if target not in jump_destinations(code._raw_code_bytes):
                return whole(computation)
            code.program_counter = target
        del values[-2:]
        return None

    return jumpi


def _mload(whole: Logic) -> Logic:
    def mload(computation: Any) -> None:
        values, memory = computation._stack.values, computation._memory._bytes
        start = _int(values[-1]) if values else LARGEST
        if start + 32 > len(memory):
            return whole(computation)
        values[-1] = int.from_bytes(memory[start : start + 32], "big")
        return None

    return mload


def _mstore(whole: Logic) -> Logic:
    def mstore(computation: Any) -> None:
        values, memory = computation._stack.values, computation._memory._bytes
        start = _int(values[-1]) if len(values) > 1 else LARGEST
        if start + 32 > len(memory):
            return whole(computation)
        del values[-1]
        memory[start : start + 32] = _int(values.pop()).to_bytes(32, "big")
        return None

    return mstore


QUICK: Final[dict[str, Callable[[Logic], Logic]]] = {
    "ADD": _binary(lambda upper, lower: (upper + lower) & LARGEST),
    "SUB": _binary(lambda upper, lower: (upper - lower) & LARGEST),
    "MUL": _binary(lambda upper, lower: (upper * lower) & LARGEST),
    "DIV": _binary(lambda upper, lower: upper // lower if lower else 0),
    "MOD": _binary(lambda upper, lower: upper % lower if lower else 0),
    "LT": _binary(lambda upper, lower: 1 if upper < lower else 0),
    "GT": _binary(lambda upper, lower: 1 if upper > lower else 0),
    "SLT": _binary(lambda upper, lower: 1 if _signed(upper) < _signed(lower) else 0),
    "SGT": _binary(lambda upper, lower: 1 if _signed(upper) > _signed(lower) else 0),
    "EQ": _binary(lambda upper, lower: 1 if upper == lower else 0),
    "AND": _binary(lambda upper, lower: upper & lower),
    "OR": _binary(lambda upper, lower: upper | lower),
    "XOR": _binary(lambda upper, lower: upper ^ lower),
    "SHL": _binary(lambda upper, lower: (lower << upper) & LARGEST if upper < 256 else 0),
    "SHR": _binary(lambda upper, lower: lower >> upper),
    "ISZERO": _iszero,
    "POP": _pop,
    "JUMP": _jump,
    "JUMPI": _jumpi,
    "MLOAD": _mload,
    "MSTORE": _mstore,
    **{f"PUSH{size}": _push(size) for size in range(1, 33)},
    **{f"DUP{position}": _dup(position) for position in range(1, 17)},
    **{f"SWAP{position}": _swap(position) for position in range(1, 17)},
}


def hasten(opcodes: dict[int, Any]) -> None:
    """Put the quick instructions in place; `opcodes` is the table of a computation class."""
    for opcode in opcodes.values():
        name = getattr(opcode, "mnemonic", "")
        if name in QUICK:
            opcode.logic_fn = _instead(opcode.logic_fn, QUICK[name](opcode.logic_fn))
    _FastOpcode.__call__ = _instead(_FastOpcode.__call__, _call)
    whole = BaseComputation.extend_memory
    BaseComputation.extend_memory = _instead(whole, _extend_memory(whole))


def _instead(whole: Any, quick: Any) -> Any:
    quick.__wrapped__ = whole
    return quick
