# SPDX-License-Identifier: MIT
"""Quick instructions against py-evm's own: same stack, memory, gas and errors, for any program."""

from __future__ import annotations

from contextlib import contextmanager

import boa
import pytest
from eth.vm.computation import BaseComputation
from eth.vm.opcode import _FastOpcode
from eth.vm.stack import to_int
from hypothesis import example, given
from hypothesis import strategies as st

import tests.compiled  # noqa: F401  # puts them in place
from tests.quick_evm import FULL, QUICK, jump_destinations

OPCODES = boa.env.evm.vm.state.computation_class.opcodes
BY_NAME = {op.mnemonic: n for n, op in OPCODES.items() if isinstance(op, _FastOpcode)}
CODE_OF = {name: BY_NAME[name] for name in QUICK}
PLAIN = [name for name in QUICK if not name.startswith(("PUSH", "JUMP"))]
MLOAD, MSTORE, JUMP, JUMPI, JUMPDEST = (
    BY_NAME[name] for name in ("MLOAD", "MSTORE", "JUMP", "JUMPI", "JUMPDEST")
)
EDGES = (0, 1, 2, 31, 32, 255, 256, 2**128, 2**255 - 1, 2**255, 2**256 - 1)
GAS = 60_000


@contextmanager
def own_instructions():
    """Let py-evm do it all itself."""
    quick = [(OPCODES[code], OPCODES[code].logic_fn) for code in CODE_OF.values()]
    call, extend = _FastOpcode.__call__, BaseComputation.extend_memory
    for opcode, logic in quick:
        opcode.logic_fn = logic.__wrapped__
    _FastOpcode.__call__, BaseComputation.extend_memory = call.__wrapped__, extend.__wrapped__
    try:
        yield
    finally:
        for opcode, logic in quick:
            opcode.logic_fn = logic
        _FastOpcode.__call__, BaseComputation.extend_memory = call, extend


def ran(code, gas):
    """Return what a program left: stack, memory, gas, where it stopped and how."""
    done = boa.env.execute_code(override_bytecode=code, gas=gas)
    error = done._error if done.is_error else None
    return {
        "stack": [to_int(value) for value in done._stack.values],
        "memory": bytes(done._memory._bytes),
        "gas": done.get_gas_used(),
        "trace": done.code._trace,
        "error": (type(error), str(error)),
    }


def push(value):
    size = max((value.bit_length() + 7) // 8, 1)
    return bytes([CODE_OF[f"PUSH{size}"]]) + value.to_bytes(size, "big")


numbers = st.sampled_from(EDGES) | st.integers(0, 2**256 - 1) | st.integers(0, 200)
steps = st.one_of(
    numbers.map(push),
    st.sampled_from(PLAIN).map(lambda name: bytes([CODE_OF[name]])),
    st.tuples(numbers, numbers, st.sampled_from(PLAIN)).map(
        lambda each: push(each[0]) + push(each[1]) + bytes([CODE_OF[each[2]]])
    ),
    st.tuples(st.integers(0, 200), numbers).map(
        lambda each: push(each[1]) + push(each[0]) + bytes([MSTORE]) + push(each[0] + 1)
        + bytes([MLOAD])
    ),
    st.tuples(st.integers(0, 120), st.sampled_from([JUMP, JUMPI])).map(
        lambda each: push(1) + push(each[0]) + bytes([each[1]])
    ),
    st.just(bytes([JUMPDEST])),
    st.binary(min_size=1, max_size=3),
)  # fmt: skip
programs = st.lists(steps, max_size=30).map(b"".join)


@given(code=programs, gas=st.integers(0, 400) | st.just(GAS))
@example(code=bytes([CODE_OF["PUSH32"], 7]), gas=GAS)  # what is missing at the end is zero
@example(code=push(3) * FULL + push(1), gas=GAS)
@example(code=push(3) * FULL + bytes([CODE_OF["DUP1"]]), gas=GAS)
@example(code=push(4) + bytes([JUMP, CODE_OF["PUSH1"], JUMPDEST]), gas=GAS)  # into what is pushed
@example(code=push(2**200) + bytes([MLOAD]), gas=GAS)
def test_program__any__ends_as_with_py_evms_own_instructions(code, gas):
    quick = ran(code, gas)
    with own_instructions():
        assert quick == ran(code, gas)


def same(*codes, gas=(GAS,)):
    quick = [ran(code, limit) for code in codes for limit in gas]
    with own_instructions():
        assert quick == [ran(code, limit) for code in codes for limit in gas]


@pytest.mark.parametrize("name", QUICK)
def test_instruction__any_depth_of_the_stack__same(name):
    same(*(push(1) * depth + bytes([CODE_OF[name]]) + b"\x00" * 32 for depth in range(18)))


@pytest.mark.parametrize("name", PLAIN)
def test_instruction__edges__same(name):
    """Two operands as they are and of every size, over something else."""
    same(*(push(9) + push(a) + push(b) + bytes([CODE_OF[name]]) for a in EDGES for b in EDGES))


@pytest.mark.parametrize("starts", [(0, 0), (0, 1), (0, 31), (32, 1), (5, 37), (37, 5), (64, 300)])
def test_memory__written_and_read_across_its_end__same_and_every_gas(starts):
    write, read = starts
    code = push(2**255 + 7) + push(write) + bytes([MSTORE]) + push(read) + bytes([MLOAD])
    same(code, gas=range(80))


def test_jump_destinations__pushed_bytes__are_none():
    code = bytes([CODE_OF["PUSH2"], JUMPDEST, JUMPDEST, JUMPDEST, CODE_OF["PUSH1"], JUMPDEST])
    assert jump_destinations(code) == {3}
