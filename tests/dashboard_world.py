# SPDX-License-Identifier: MIT
"""The dashboard over a node that answers as told, or over many vaults and a long journal."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack, contextmanager
from dataclasses import replace

import requests
import uvicorn
from eth_abi.abi import encode

from keeper.cli import _node
from keeper.collect import SYMBOL
from keeper.config import load_config
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
        self.node.answers["eth_call"] = self._call
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
        if call["to"] != LENS:
            return {"code": 3, "message": "execution reverted", "data": "0x"}
        words = bytes.fromhex(call["data"][10:])
        asked = [words[i : i + 32] for i in range(64, len(words), 32)]
        by_address = {bytes.fromhex(s.vault.vault[2:]).rjust(32, b"\0"): s for s in self.states}
        found = [by_address[word] for word in asked]
        return lens_answer(self.node.head, self.node.at, found)


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
