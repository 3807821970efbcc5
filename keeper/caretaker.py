# SPDX-License-Identifier: MIT
"""
Does for venues, queues and exits in kind what anybody may do, where the operator has asked for it.

A run makes one call: the first that is due and that the chain would carry out. Only while a batch
of deleveraging runs does it go on, call after call, until its own deadline: the venue stands still
until the list is done, and the list is void after ten minutes. A call is a transaction like any
other, with a row in the journal and the same life; it waits for one that is on its way, and hedging
waits for it no longer than a run lasts. Its budgets are its own, so that liquidations which
somebody else got first never stop the hedge.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, Protocol

from eth_abi.exceptions import DecodingError

from keeper.abi import answer, call_data
from keeper.deadline import Deadline
from keeper.errors import CallRefused, CorruptAnswer, Unsendable
from keeper.guard import Safety, budget_objection
from keeper.journal import Journal
from keeper.lifecycle import ENDED, Tx
from keeper.reading import Reading
from keeper.replay import Batch
from keeper.rows import CallEntry
from keeper.rpc import RpcFault, answered
from keeper.runner import Leadership
from keeper.sending import Edge, Key, Orders, Sending
from keeper.snapshot import Address, Snapshot, VaultSnapshot
from keeper.units import Quote
from keeper.upkeep import FUND, MAX_OWNERS, POOL, VENUE, Call, Care, Stage, Venue, due
from keeper.upkeep_reading import read

QUEUE: Final = "RedemptionQueue"
EXIT: Final = "ExitInKind"
OF_VAULTS: Final = frozenset({"process", "exits"})  # the other chores are of venues
LOOK_AT: Final = 50  # requests in one call of `process`; the contract takes no more
SETTLED_BLOCKS: Final = 256
CHORES: Final[dict[str, frozenset[str]]] = {  # the methods that each brings with it
    "liquidate": frozenset({"liquidate", "settle_debt"}),
    "deleverage": frozenset({"deleverage", "abandon"}),
    "poke": frozenset(
        {
            "accrue", "settle", "collect", "note_price", "execute_provide", "execute_remove",
            "unwind", "close", "fix_claims", "release",
        }
    ),
    "process": frozenset({"process"}),
    "exits": frozenset(),  # none of a venue
}  # fmt: skip


class Reader(Edge, Protocol):
    """An edge that also makes calls of one's own; `keeper.chain.Chain`."""

    def batch(self, calls: Sequence[tuple[str, list[Any]]]) -> list[Any]:
        """Make all calls at one node."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chores:
    """What the operator asked for."""

    names: frozenset[str]  # of `CHORES`
    safety: Safety
    least_reward: Decimal = Decimal(0)  # quote tokens, for a liquidation
    first_block: int = 0  # at or before that of the venues
    chunk: int = MAX_OWNERS  # accounts in one call of deleveraging

    @property
    def methods(self) -> frozenset[str]:
        """Return the methods that may be called."""
        return frozenset().union(*(CHORES[name] for name in self.names))


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """A call with its receiver, and what it is about: a venue or a vault."""

    call: Call
    to: Address
    about: Address
    lasts: bool = False  # whether the next one must follow at once

    @property
    def calldata(self) -> bytes:
        """Return the bytes of the call."""
        return call_data(self.call.contract, self.call.method, *self.call.arguments)


class RememberedLogs:
    """
    Makes calls, and asks for old logs once: each run reads a venue's history from the start.

    Logs are old when no reorganisation reaches them, `SETTLED_BLOCKS` under the last that a
    question is about.
    """

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self._known: dict[str, list[Any]] = {}

    def __call__(self, calls: Sequence[tuple[str, list[Any]]]) -> list[Any]:
        """Make those calls whose answer is not known."""
        keys = [json.dumps(call) for call in calls]
        missing = [call for call, key in zip(calls, keys, strict=True) if key not in self._known]
        answers = iter(self._batch(missing) if missing else ())
        found = [self._known[key] if key in self._known else next(answers) for key in keys]
        settled = max(map(_last_block, calls), default=0) - SETTLED_BLOCKS
        for call, key, logs in zip(calls, keys, found, strict=True):
            if 0 < _last_block(call) <= settled and isinstance(logs, list):
                self._known[key] = logs
        return found


def _last_block(call: tuple[str, list[Any]]) -> int:
    """Return up to where a question for logs goes; 0 for any other."""
    method, params = call
    return int(params[0]["toBlock"], 16) if method == "eth_getLogs" else 0


class Caretaker:
    """Runs errands with the keeper's key."""

    def __init__(
        self,
        *,
        chain: Reader,
        journal: Journal,
        orders: Orders,
        chores: Chores,
        signer: Key | None,
        lease: Leadership,
        log: Any,
    ) -> None:
        self._chain, self._journal, self._orders = chain, journal, orders
        self._chores, self._signer, self._lease = chores, signer, lease
        self._log = log
        self._logs = RememberedLogs(chain.batch)
        self._sending = Sending(
            chain=chain,
            journal=journal,
            orders=orders,
            signer=signer,
            check=lease.check,
            wall=time.time,
            log=log,
        )

    def run(self, deadline: Deadline) -> list[Tx]:
        """
        Make the call that is due, and those that must follow it.

        Returns
        -------
        list[Tx]
            What was sent.

        Raises
        ------
        Fault
            If chain or journal do not answer.
        """
        sent: list[Tx] = []
        with self._journal.job(deadline):
            while self._lease.leads():
                tx, goes_on = self._next(deadline)
                sent += [] if tx is None else [tx]
                if tx is None or not goes_on or tx.state not in ENDED or deadline.remaining() <= 0:
                    break
        return sent

    def _next(self, deadline: Deadline) -> tuple[Tx | None, bool]:
        """Make one call; return it, and whether another must follow."""
        open_ones = self._journal.in_flight()
        watched = self._journal.hashes(open_ones)
        sender = self._signer.address if self._signer is not None else None
        reading = self._chain.read(self._orders.vaults, sender, watched, deadline)
        waiting = self._sending.resolve(open_ones, reading, deadline)
        errand = next(self._possible(reading), None)
        if errand is None:
            return None, False
        why_not = self._objection(reading, waiting)
        said = {"about": errand.about, "call": errand.call.method, "why": errand.call.why}
        if why_not is not None:
            self._log.info("upkeep", **said, result="not sent", because=why_not)
            return None, False
        tx = self._send(errand, reading, deadline)
        self._log.info(
            "upkeep", **said, result=str(tx.state), tx=tx.tx_hash, detail=tx.detail or ""
        )
        return tx, errand.lasts

    def _send(self, errand: Errand, reading: Reading, deadline: Deadline) -> Tx:
        signer, at = self._signer, reading.block.at
        assert signer is not None  # noqa: S101  # `_objection` has looked
        call = CallEntry(
            purpose=errand.call.method,
            about=errand.about,
            to=errand.to,
            calldata=errand.calldata,
            sender=signer.address,
            deadline=at + self._orders.policy.deadline_secs,
            at=at,
        )
        return self._sending.execute_call(call, reading, deadline)

    def _objection(self, reading: Reading, waiting: list[Tx]) -> str | None:
        if self._signer is None or not self._orders.live:
            return "dry run"
        if self._orders.kill_file.exists():
            return "the kill switch is set"
        if waiting:
            return f"waiting for transaction {waiting[0].tx_hash}"
        if reading.pending_nonce > reading.nonce:
            return f"the key has a transaction in the pool, nonce {reading.nonce}"
        spent = self._journal.spent(reading.block.at, upkeep=True)
        return budget_objection(self._chores.safety, spent) or self._sending.fee_objection(
            reading.block.base_fee
        )

    # What is due

    def _possible(self, reading: Reading) -> Iterator[Errand]:
        """Yield errands that the chain would carry out now, the most urgent first."""
        sender = self._signer.address if self._signer is not None else None
        for errand in self._due(reading.snapshots):
            if sender is None:
                yield errand
                continue
            with suppress(CallRefused, Unsendable):  # paced, or somebody else was faster
                max_gas = self._orders.fees.max_gas
                if self._chain.simulate(sender, errand.to, errand.calldata, max_gas) <= max_gas:
                    yield errand

    def _due(self, snapshots: Sequence[Snapshot]) -> Iterator[Errand]:
        venues = {v.venue: snapshot.vault for snapshot in snapshots for v in snapshot.vault.venues}
        if "exits" in self._chores.names:  # first, because hedging waits for it
            for snapshot in snapshots:
                yield from self._of_exit(snapshot.vault)
        if self._chores.names - OF_VAULTS:
            for venue, vault in venues.items():
                yield from self._of_venue(venue, vault.quote_decimals)
        if "process" in self._chores.names:
            for snapshot in snapshots:
                yield from self._of_queue(snapshot.vault)

    def _of_venue(self, address: Address, quote_decimals: int) -> Iterator[Errand]:
        venue = read(self._logs, address, self._chores.first_block)
        receivers = {VENUE: address, FUND: venue.fund}
        least = Quote(int(self._chores.least_reward * 10**quote_decimals))
        for call in due(venue, Care(least_reward=least, chunk=self._chores.chunk)):
            if call.method not in self._chores.methods:
                continue
            if call.contract == POOL and POOL not in receivers:
                receivers[POOL] = Address(self._view(VENUE, address, "parts")["pool"])
            yield Errand(
                call=call, to=receivers[call.contract], about=address, lasts=_lasts(venue, call)
            )

    def _of_queue(self, vault: VaultSnapshot) -> Iterator[Errand]:
        queue = Address(self._view("HedgeVault", vault.vault, "queue"))
        if self._view(QUEUE, queue, "pending_shares") == 0:
            return
        filled = self._would_fill(queue)
        if filled:
            why = f"{filled} requests can be filled"
            call = Call(contract=QUEUE, method="process", arguments=(LOOK_AT,), why=why)
            yield Errand(call=call, to=queue, about=vault.vault)

    def _of_exit(self, vault: VaultSnapshot) -> Iterator[Errand]:
        """Yield the settlement of exits in kind, or the end of an announcement that is wrong."""
        if not vault.price_ok:
            return
        leaving = Address(self._view("HedgeVault", vault.vault, "exit_in_kind"))
        if self._view(EXIT, leaving, "hollow_shares"):
            call = Call(contract=EXIT, method="settle", why="the price is back")
        elif self._view(EXIT, leaving, "announced_at"):
            call = Call(contract=EXIT, method="retract", why="there is a good price")
        else:
            return
        yield Errand(call=call, to=leaving, about=vault.vault)

    def _would_fill(self, queue: Address) -> int:
        """Return how many requests a run of the queue would fill now."""
        (found,) = self._chain.batch([_call(QUEUE, queue, "process", LOOK_AT)])
        if isinstance(found, RpcFault) and found.reverted:
            return 0
        return int(_decoded(QUEUE, "process", answered(found)))

    def _view(self, kind: str, address: Address, view: str) -> Any:
        (found,) = self._chain.batch([_call(kind, address, view)])
        return _decoded(kind, view, answered(found))


def _lasts(venue: Venue, call: Call) -> bool:
    """Return whether the venue waits for the next call, too: a batch runs, or begins."""
    return venue.stage == Stage.BATCH or (call.method == "deleverage" and not call.arguments[1])


def _call(kind: str, to: Address, function: str, *arguments: Any) -> tuple[str, list[Any]]:
    data = "0x" + call_data(kind, function, *arguments).hex()
    return ("eth_call", [{"to": to, "data": data}, "latest"])


def _decoded(kind: str, function: str, words: Any) -> Any:
    try:
        return answer(kind, function, bytes.fromhex(str(words).removeprefix("0x")))
    except (DecodingError, ValueError) as fault:
        raise CorruptAnswer(f"{kind}.{function} gives an answer that does not fit") from fault
