# SPDX-License-Identifier: MIT
"""The dashboard over a node that answers as told, or over many vaults and a long journal."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

import requests
import uvicorn
from eth_abi.abi import encode
from eth_utils.crypto import keccak

from keeper import abi
from keeper.cli import _node
from keeper.collect import SYMBOL
from keeper.config import load_config
from keeper.events import Log
from keeper.journal import Entry, TxState
from keeper.journal_pages import JournalPages
from keeper.policy import Memory, Policy
from keeper.risk import assess
from keeper.runner import figures_of
from keeper.strategy import decide
from keeper.web.app import create_app
from keeper.web.command import desk
from tests.keeper_world import ETHER, KEEPER, NOW, VAULT, address, snapshot, snapshot_of, venue
from tests.rpc_server import LENS, Server, lens_answer

HOSTILE = "<script>window.pwned=1</script>"
PATIENCE_SECS = 10.0
CHAIN_ID = 31337


EXIT = address(70)
EXIT_DELAY, EXIT_PATIENCE = 3 * 86_400, 86_400


def symbol(text: str) -> str:
    return "0x" + encode(["string"], [text]).hex()


def state_of(block: int = 100, drift: int = 0, price: int = 2_000, vault=VAULT, **fields):
    """Return a vault hedged but for `drift` whole assets."""
    short = -(98 - drift) * ETHER
    made = snapshot(
        venue(assets=35 * ETHER, delta=short, price_wad=price * ETHER),
        idle_assets=63 * ETHER, price_wad=price * ETHER, vault=vault, **fields,
    )  # fmt: skip
    return snapshot_of(made.vault, number=block, at=NOW + 15 * (block - 100))


def write_history(journal: JournalPages, blocks: int, first: int = 100, vaults=(VAULT,)) -> None:
    """Write looks at consecutive blocks; every tenth finds a drift and is carried out."""
    for i in range(blocks):
        drift, price = 6 if i % 10 == 5 else 0, 2_000 + (i * 37) % 300
        states = [state_of(first + i, drift, price, vault) for vault in vaults]
        entries = [_entry(state) for state in states]
        _, rows = journal.write_tick(
            "tick", NOW + i, states[0].block, entries, Policy(), NOW + i + 0.01, 1
        )
        if entries[0].decision.memory.hedging or hasattr(entries[0].decision, "plan"):
            _carry_out(journal, rows[0], states[0], entries[0].decision.plan, first + i)


def write_long_history(journal: JournalPages, ticks: int, decisions: int, vault=VAULT) -> None:
    """Write so many decisions a tick about one vault, each tick's alike; one in ten plans."""
    made = [_entry(state_of(100 + i, 6 if i == 9 else 0, vault=vault)) for i in range(10)]
    for i in range(ticks):
        block = replace(made[0].snapshot.block, number=100 + i, at=NOW + 15 * i)
        entries = [made[i % 10]] * decisions
        journal.write_tick("tick", NOW + i, block, entries, Policy(), NOW + i + 0.01, 1)


def _entry(state) -> Entry:
    decision = decide(state, Policy(), Memory())
    figures = figures_of(assess(state.vault))
    return Entry(snapshot=state, memory=Memory(), decision=decision, figures=figures)


def _carry_out(journal, row, state, plan, block) -> None:
    tx = journal.plan(row, state, plan, b"\x01", KEEPER, NOW)
    tx = journal.advance(tx, TxState.SIGNED, NOW, tx_hash="0x" + f"{row:064x}", account_nonce=row)
    tx = journal.advance(journal.count_send(tx), TxState.ACCEPTED, NOW)
    done = {"block_number": block + 1, "succeeded": True, "gas_used": 300_000}
    tx = journal.advance(tx, TxState.MINED, NOW, effective_gas_price=10**9, **done)
    journal.advance(tx, TxState.FINAL, NOW)


def many(count: int):
    """Return so many vaults, some of which ask for attention."""
    drifts = (0, 0, 0, 3, 0, 20)
    return [
        snapshot_of(replace(state_of(100, drifts[i % 6]).vault, vault=address(1_000 + i)))
        for i in range(count)
    ]


class World:
    """A scripted node with a configuration and a journal beside it."""

    def __init__(self, folder, states=None, *, clock='clock = "head"', chain_id=CHAIN_ID) -> None:
        self.node = Server()
        self.states = states or [state_of()]
        self.symbols = ("tETH", "tUSDC")
        self.logs: list[Log] = []
        self.views: dict[tuple[str, str], Any] = {  # by contract type and view, anywhere
            ("HedgeVault", "exit_in_kind"): EXIT,
            ("ExitInKind", "DELAY"): EXIT_DELAY,
            ("ExitInKind", "PATIENCE"): EXIT_PATIENCE,
        }
        self.node.answers["eth_call"] = self._call
        self.node.answers["eth_getLogs"] = self._logs
        self.journal_path = folder / "journal.sqlite"
        self.config_path = folder / "hedgevault.toml"
        listed = "".join(f'[[vaults]]\naddress = "{s.vault.vault}"\n' for s in self.states)
        self.config_path.write_text(
            f'[chain]\nrpc_url = "{self.node.url}"\nchain_id = {chain_id}\nlens = "{LENS}"\n'
            f'request_timeout_secs = 2.0\n{clock}\n[journal]\npath = "journal.sqlite"\n{listed}'
        )

    def journal(self) -> JournalPages:
        return JournalPages(self.journal_path, CHAIN_ID)

    def close(self) -> None:
        self.node.close()

    def _call(self, params):
        call = params[0]
        if call["data"] == SYMBOL:
            first = call["to"] == self.states[0].vault.asset
            return symbol(self.symbols[0 if first else 1])
        for (kind, view), value in self.views.items():
            if call["data"].startswith("0x" + selector(kind, view)):
                return words_of(kind, view, value)
        if call["to"] != LENS:
            return {"code": 3, "message": "execution reverted", "data": "0x"}
        words = bytes.fromhex(call["data"][10:])
        asked = [words[i : i + 32] for i in range(64, len(words), 32)]
        by_address = {bytes.fromhex(s.vault.vault[2:]).rjust(32, b"\0"): s for s in self.states}
        found = [by_address[word] for word in asked]
        return lens_answer(self.node.head, self.node.at, found)

    def _logs(self, params):
        query = params[0]
        first, last = int(query["fromBlock"], 16), int(query["toBlock"], 16)
        return [
            shown(log)
            for log in self.logs
            if log.address in query["address"] and first <= log.block <= last
        ]

    def tell(self, at: str, kind: str, name: str, block: int = 90, **fields) -> None:
        """Log an event of a contract."""
        index = sum(log.block == block for log in self.logs)
        self.logs.append(logged(at, kind, name, fields, block, index))


def entry_of(kind: str, sort: str, name: str) -> dict[str, Any]:
    return next(e for e in abi.load(kind) if e["type"] == sort and e["name"] == name)


def selector(kind: str, view: str) -> str:
    types = ",".join(abi.type_of(field) for field in entry_of(kind, "function", view)["inputs"])
    return keccak(text=f"{view}({types})")[:4].hex()


def words_of(kind: str, view: str, value: Any) -> str:
    fields = entry_of(kind, "function", view)["outputs"]
    return "0x" + encode([abi.type_of(field) for field in fields], [value]).hex()


def logged(at, kind, name, fields, block, index) -> Log:
    """Return an event as a node would give it."""
    inputs = entry_of(kind, "event", name)["inputs"]
    types = {field["name"]: abi.type_of(field) for field in inputs}
    topic = keccak(text=f"{name}({','.join(types.values())})")
    indexed = [field["name"] for field in inputs if field["indexed"]]
    plain = [field["name"] for field in inputs if not field["indexed"]]
    return Log(
        address=at,
        topics=(topic, *(encode([types[each]], [fields[each]]) for each in indexed)),
        data=encode([types[each] for each in plain], [fields[each] for each in plain]),
        block=block,
        index=index,
        tx_hash="0x" + f"{block:032x}{index:032x}",
    )


def shown(log: Log) -> dict[str, Any]:
    return {
        "address": log.address, "topics": ["0x" + topic.hex() for topic in log.topics],
        "data": "0x" + log.data.hex(), "blockNumber": hex(log.block),
        "logIndex": hex(log.index), "transactionHash": log.tx_hash,
    }  # fmt: skip


@contextmanager
def served(config_path, *, every_secs=0.2, names=()):
    """Serve the dashboard in a thread and yield its address."""
    config = load_config(config_path)
    with ExitStack() as stack:
        found = stack.enter_context(desk(config, _node(config), names, every_secs))
        server = uvicorn.Server(
            uvicorn.Config(
                create_app(found),
                port=0,
                log_config=None,
                lifespan="off",
                timeout_graceful_shutdown=1,
            )
        )
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        try:
            assert until(lambda: server.started)
            port = server.servers[0].sockets[0].getsockname()[1]
            yield f"http://127.0.0.1:{port}"
        finally:
            found.watcher.end()
            server.should_exit = True
            thread.join(PATIENCE_SECS)


def until(holds, secs=PATIENCE_SECS):
    deadline = time.monotonic() + secs
    while time.monotonic() < deadline:
        if holds():
            return True
        time.sleep(0.02)
    return False


def text_of(url, **kwargs) -> tuple[int, str]:
    """Return status and page, per cent signs parted by plain spaces."""
    answer = requests.get(url, timeout=PATIENCE_SECS, **kwargs)
    return answer.status_code, answer.text.replace("\u00a0", " ")
