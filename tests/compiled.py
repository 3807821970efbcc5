# SPDX-License-Identifier: MIT
"""
Contracts for titanoboa, compiled once for all processes and runs.

Boa keeps what it compiled, but parses and analyses every source before it looks, which takes most
of the time, and draws up the source map of a constructor anew for each contract that it deploys.
"""

from __future__ import annotations

import gc
import hashlib
import os
import pickle
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import boa
from boa.contracts.vyper.vyper_contract import VyperContract, VyperDeployer
from vyper.compiler.settings import anchor_settings
from vyper.ir import compile_ir
from vyper.semantics.namespace import get_namespace

from tests.quick_evm import hasten

ROOT = Path(__file__).resolve().parents[1]
CONTRACTS = ROOT / "contracts"
KEPT = ROOT / "build" / "boa"

boa.interpret.set_search_paths([str(CONTRACTS)])
get_namespace()  # `eval` of a contract needs it, and the first compilation would make it


@lru_cache
def deployer(path: str) -> Any:
    """Return the compiled contract; `path` is relative to ``contracts/``."""
    source = str(CONTRACTS / path)
    gc.disable()  # it would look through millions of nodes again and again
    try:
        compiled = _kept(path)
        if compiled is None:
            with no_earlier_results():
                compiled = boa.load_partial(source).compiler_data
            _keep(compiled, path)
    finally:
        gc.freeze()  # they stay for good
        gc.enable()
    return VyperDeployer(compiled, filename=source)


@contextmanager
def no_earlier_results() -> Iterator[None]:
    """Let boa compile: its cache misses changes of modules inside modules, and it needs one."""
    with TemporaryDirectory() as place:
        boa.interpret.set_cache_dir(place)
        try:
            yield
        finally:
            boa.interpret.set_cache_dir()


@lru_cache
def _digest() -> str:
    """Return what the compiled contracts depend on."""
    packages = [version(name) for name in ("vyper", "titanoboa", "snekmate")]
    whole = hashlib.sha256(repr((str(ROOT), packages)).encode())
    for file in sorted(CONTRACTS.rglob("*.vy*")):
        whole.update(str(file).encode() + file.read_bytes())
    return whole.hexdigest()[:16]


def _place(path: str) -> Path:
    return KEPT / _digest() / f"{path}.pickle"


def _kept(path: str) -> Any:
    try:
        return pickle.loads(_place(path).read_bytes())
    except (OSError, EOFError, pickle.UnpicklingError):
        return None


def _keep(compiled: Any, path: str) -> None:
    """Write it for the others, in place of what earlier sources gave."""
    kept = _place(path)
    for other in KEPT.glob("*"):
        if other.name != _digest():
            shutil.rmtree(other, ignore_errors=True)
    kept.parent.mkdir(parents=True, exist_ok=True)
    own = kept.with_suffix(f".{os.getpid()}")
    own.write_bytes(pickle.dumps(compiled))
    own.replace(kept)


def _deployment_source_map(contract: VyperContract) -> Any:
    compiled = contract.compiler_data
    if "deployment_source_map" not in vars(compiled):
        with anchor_settings(compiled.settings):
            compiled.deployment_source_map = compile_ir.assembly_to_evm(compiled.assembly)[1]
    return compiled.deployment_source_map


def _name(contract: VyperContract) -> str:
    return f"<{contract.compiler_data.contract_path} at {contract.address}>"


# Six of seven parts of the time that it takes to deploy a vault with its venue.
assert hasattr(VyperContract, "_deployment_source_map"), "boa has changed"
VyperContract._deployment_source_map = property(_deployment_source_map)
# Boa writes down the whole storage at each revert, and fails at it where a contract of an earlier
# test had another type of map in the same slot of the same address.
VyperContract.__repr__ = _name
hasten(boa.env.evm.vm.state.computation_class.opcodes)
