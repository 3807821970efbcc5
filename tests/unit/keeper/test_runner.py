# SPDX-License-Identifier: MIT
"""One cycle on a chain in memory: what is sent, and what a crash at each boundary leaves."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import replace
from functools import partial

import pytest
import sqlalchemy as sa
from eth_utils.crypto import keccak

from keeper import database
from keeper.chain import Signed
from keeper.deadline import Deadline
from keeper.errors import (
    CallRefused,
    ChainUnavailable,
    ConfigInvalid,
    CorruptAnswer,
    DeadlineExceeded,
    JournalUnavailable,
    LeaseLost,
    NonceTaken,
    SendRefused,
    SignerFault,
    Unsendable,
)
from keeper.guard import Safety
from keeper.journal import Failure, Journal, TxState
from keeper.policy import Memory, Policy
from keeper.reading import Reading, Receipt
from keeper.runner import Keeper
from keeper.sending import Fees, Orders
from keeper.snapshot import Block, VaultSnapshot
from keeper.units import Assets
from tests.keeper_world import ETHER, KEEPER, NOW, VAULT, snapshot, snapshot_of, venue

GWEI = 10**9


class Killed(BaseException):
    """The process ends here; nothing of ours may catch it."""


class MemoryChain:
    """One vault and a pool of transactions; `mine` carries out the plan once."""

    def __init__(self, state):
        self.vault = state.vault
        self.block = state.block
        self.requests = 0
        self.nonce = 5
        self.pool: dict[str, bytes] = {}
        self.receipts: dict[str, Receipt] = {}
        self.executed = 0
        self.sends: list[str] = []
        self.automine = True
        self.reverts = False
        self.refusal: str | None = None
        self.simulated = {}  # gas, or what is raised, by book
        self.balance = 10**18
        self.foreign = 0  # transactions of this key in the pool that are not ours
        self.others: list[VaultSnapshot] = []
        self.no_receipts = self.forgets = False  # nodes that have counted a nonce, and no more
        self.answers: list[Exception] = []  # to the next sends
        self.genesis: str | None = None
        self.replaced_from: int | None = None
        self.fail_at: str | None = None
        self.error: BaseException = Killed()

    def _enter(self, stage):
        self.requests += 1
        if self.fail_at == stage:
            self.fail_at = None
            raise self.error

    def read(self, vaults, sender, watched, deadline):
        self._enter("read")
        states = [replace(snapshot_of(v), block=self.block) for v in (self.vault, *self.others)]
        pending = self.nonce + len(self.pool) + self.foreign
        return Reading(
            block=self.block, snapshots=tuple(states), nonce=self.nonce, pending_nonce=pending,
            balance=self.balance, receipts={h: self._receipt(h) for h in watched},
            genesis=self.genesis, replaced_from=self.replaced_from,
        )  # fmt: skip

    def _receipt(self, tx_hash):
        return None if self.no_receipts else self.receipts.get(tx_hash)

    def simulate(self, sender, to, calldata, gas):
        self._enter("simulate")
        if self.refusal:
            raise CallRefused(self.refusal)
        found = self.simulated.get(to, 200_000)
        if isinstance(found, Exception):
            raise found
        return found

    def send(self, signed):
        self._enter("before send")
        self.sends.append(signed.tx_hash)
        answer = self.answers.pop(0) if self.answers else None
        if isinstance(answer, SendRefused):
            raise answer
        self.pool[signed.tx_hash] = signed.raw
        if answer is not None:
            raise answer
        if self.automine:
            self.mine()
        self._enter("after send")

    def pass_blocks(self, count):
        block = self.block
        self.block = replace(block, number=block.number + count, at=block.at + count)

    def mine(self):
        self.block = Block(
            number=self.block.number + 1, hash=hex(self.block.number + 1), parent_hash="0x",
            at=self.block.at + 12, base_fee=GWEI,
        )  # fmt: skip
        for tx_hash in list(self.pool):
            del self.pool[tx_hash]
            self.nonce += 1
            self.receipts[tx_hash] = Receipt(
                tx_hash=tx_hash, succeeded=not self.reverts, block_number=self.block.number,
                block_hash=self.block.hash, gas_used=150_000, effective_gas_price=GWEI,
            )  # fmt: skip
            if not self.reverts:
                self.hedge()

    def hedge(self):
        self.executed += 1
        state = replace(
            self.vault.state,
            nonce=self.vault.state.nonce + 1,
            rebalanced_at=self.block.at,
        )
        item = venue(assets=35 * ETHER, delta=-100 * ETHER)
        self.vault = replace(self.vault, state=state, venues=(item,))

    def receipt(self, tx_hash):
        self._enter("receipt")
        return self._receipt(tx_hash), self.block.number

    def known(self, tx_hash):
        self._enter("known")
        return not self.forgets and (tx_hash in self.pool or tx_hash in self.receipts)

    def reason_of(self, sender, to, calldata, block_number):
        return "book: slippage"


class Signer:
    address = KEEPER

    def __init__(self, chain):
        self.chain = chain
        self.envelopes = []

    def sign(self, envelope):
        self.chain._enter("sign")
        self.envelopes.append(envelope)
        raw = f"raw {envelope.nonce} {len(self.envelopes)}".encode()
        return Signed(tx_hash="0x" + keccak(raw).hex(), raw=raw)


class Log:
    def __init__(self):
        self.lines = []

    def _line(self, event, **fields):
        self.lines.append({"event": event} | fields)

    info = warning = error = exception = _line


@pytest.fixture
def chain():
    state = snapshot(venue(assets=35 * ETHER, delta=-98 * ETHER), idle_assets=65 * ETHER)
    return MemoryChain(replace(state, block=replace(state.block, base_fee=GWEI)))


class Bench:
    """A keeper that can be started again over the same journal and chain."""

    def __init__(self, chain, folder):
        self.chain = chain
        self.path = folder / "journal.sqlite"
        self.kill_file = folder / "stop"
        self.log = Log()
        self.journal = None
        self.start()

    def start(self, *, live=True, confirmations=1, **changes):
        if self.journal is not None:
            self.journal.close()
        self.journal = Journal(self.path, 31337)
        self.signer = Signer(self.chain)
        orders = Orders(
            vaults=(VAULT,), policy=Policy(), safety=Safety(), live=live,
            fees=Fees(
                max_fee=100 * GWEI, priority_fee=GWEI, max_gas=3_000_000, gas_margin_bps=2_000
            ),
            kill_file=self.kill_file, confirmations=confirmations, receipt_wait_secs=0.01,
        )  # fmt: skip
        self.keeper = Keeper(
            chain=self.chain, journal=self.journal, orders=replace(orders, **changes),
            signer=self.signer, wall=lambda: 1.0, log=self.log,
        )  # fmt: skip
        return self

    def tick(self):
        return self.keeper.tick(Deadline(10.0))

    def states(self):
        return [tx.state for tx in self.journal.transactions()]


@pytest.fixture
def bench(chain, tmp_path):
    bench = Bench(chain, tmp_path)
    yield bench
    bench.journal.close()


def test_tick__drifted_vault__one_transaction_to_the_end(bench, chain):
    report = bench.tick()
    assert chain.executed == 1
    assert bench.states() == [TxState.FINAL]
    assert report.verdicts[0].note.startswith("final 0x")
    (tx,) = bench.journal.transactions()
    assert (tx.gas_used, tx.effective_gas_price, tx.succeeded) == (150_000, GWEI, True)
    (envelope,) = bench.signer.envelopes
    # gas: 200,000 and a fifth; fee: twice the base fee and the tip
    assert (envelope.nonce, envelope.gas, envelope.max_fee) == (5, 240_000, 3 * GWEI)


def test_tick__again__holds(bench, chain):
    bench.tick()
    report = bench.tick()
    assert report.sent == []
    assert report.verdicts[0].decision.reason.startswith("drift")
    assert len(chain.sends) == 1


def test_tick__numbers_that_cannot_be__recorded_and_told(bench, chain):
    chain.vault = replace(chain.vault, asset_decimals=1)
    with pytest.raises(CorruptAnswer, match=f"vault {VAULT} has numbers that cannot be"):
        bench.tick()
    assert chain.sends == []
    assert bench.journal.ticks()[-1]["result"] == "fault"


def test_tick__one_canonical_line(bench):
    bench.tick()
    (line,) = bench.log.lines
    assert (line["event"], line["result"], line["decision"]) == ("tick", "ok", "rebalance")
    assert (line["drift_bps"], line["block"], line["requests"]) == (200, 100, 6)


def test_tick__requests__one_when_idle(bench):
    bench.tick()
    bench.tick()
    assert bench.journal.ticks()[-1]["requests"] == 1


def test_tick__dry_run__sends_nothing_and_says_so(bench, chain):
    report = bench.start(live=False).tick()
    assert (chain.sends, bench.states()) == ([], [])
    assert report.verdicts[0].note == "dry run"
    (row,) = bench.journal.decisions()
    assert row.objection == "dry run"


@pytest.mark.parametrize("stage", ["simulate", "sign", "after send", "receipt"])
def test_tick__dry_run_beside_what_is_in_flight__writes_no_transaction(bench, chain, stage):
    chain.fail_at = stage
    with pytest.raises(Killed):
        bench.tick()
    before = bench.journal.transactions()
    bench.start(live=False)
    bench.tick()
    assert bench.journal.transactions() == before


def test_tick__kill_file__sends_nothing(bench, chain):
    bench.kill_file.touch()
    assert bench.tick().verdicts[0].note == "the kill switch is set"
    assert chain.sends == []


def test_tick__simulation_refused__sends_nothing(bench, chain):
    chain.refusal = "venue: pool too small"
    report = bench.tick()
    assert chain.sends == []
    assert bench.states() == [TxState.FAILED]
    assert "pool too small" in report.verdicts[0].note


def test_tick__base_fee_over_cap__waits_and_goes_on_watching(bench, chain):
    chain.block = replace(chain.block, base_fee=101 * GWEI)
    note = bench.tick().verdicts[0].note
    assert note == "the base fee is 101000000000 wei, over the cap of 100000000000"
    assert (chain.sends, bench.states()) == ([], [])
    assert bench.journal.ticks()[-1]["result"] == "ok"


def test_tick__trigger_over_the_urgent_band__refused_at_the_start_only(bench, chain):
    wide = replace(Policy(), trigger_bps=1_001)
    bench.start(policy=wide)
    with pytest.raises(
        ConfigInvalid, match=r"policy\.trigger_bps: 1001 is over the urgent band of"
    ):
        bench.tick()
    assert chain.sends == []
    bench.start(policy=replace(Policy(), trigger_bps=1_000))
    bench.tick()
    chain.vault = replace(chain.vault, limits=replace(chain.vault.limits, urgent_band_bps=900))
    bench.tick()  # the guardian may tighten it at any time; the keeper lives on


def test_tick__fee__is_capped(bench, chain):
    chain.block = replace(chain.block, base_fee=90 * GWEI)
    bench.tick()
    assert bench.signer.envelopes[0].max_fee == 100 * GWEI


def test_tick__reverted_on_chain__failed_with_the_reason(bench, chain):
    chain.reverts = True
    report = bench.tick()
    assert bench.states() == [TxState.FAILED]
    assert "book: slippage" in report.sent[0].detail


def test_tick__three_reverts__stops_sending_not_watching(bench, chain):
    chain.reverts = True
    for _ in range(3):
        bench.tick()
    report = bench.tick()
    assert len(chain.sends) == 3
    assert report.verdicts[0].note == "3 reverts in a row, allowed are 3"


def test_tick__turnover_of_an_hour__stops_sending_not_watching(bench, chain):
    """Of 100 assets, two are traded: 200 bps; twice would be 400."""
    bench.start(safety=Safety(max_turnover_an_hour_bps=399))
    drifted = chain.vault.venues
    bench.tick()
    assert chain.executed == 1

    def again(secs):
        chain.block = replace(chain.block, at=chain.block.at + secs)
        state = replace(chain.vault.state, rebalanced_at=chain.block.at - 10_000)
        chain.vault = replace(
            chain.vault, state=state, venues=drifted, price_updated_at=chain.block.at
        )
        return bench.tick().verdicts[0].note

    words = "turnover of an hour would be 400 bps of the vault, allowed are 399"
    assert again(1_800) == words
    assert bench.journal.ticks()[-1]["result"] == "ok"
    assert again(1_700) == words
    assert "final" in again(100)  # the first is an hour old
    assert chain.executed == 2


def test_tick__turnover_of_a_plan_that_failed__does_not_count(bench, chain):
    bench.start(safety=Safety(max_turnover_an_hour_bps=399))
    chain.reverts = True
    bench.tick()
    chain.reverts = False
    bench.tick()
    assert bench.states() == [TxState.FAILED, TxState.FINAL]


def test_tick__not_mined_yet__waits_and_does_not_double(bench, chain):
    chain.automine = False
    bench.tick()
    assert bench.states() == [TxState.ACCEPTED]
    report = bench.tick()
    assert "waiting for transaction" in report.verdicts[0].note
    assert len(chain.sends) == 1
    chain.mine()
    bench.tick()
    assert bench.states() == [TxState.FINAL]
    assert chain.executed == 1


def test_tick__dropped_by_the_node__is_sent_again_unchanged(bench, chain):
    chain.automine = False
    bench.tick()
    chain.pool.clear()
    chain.automine = True
    report = bench.tick()
    # decided before it was mined, so nothing else is sent in this cycle
    assert "waiting for" in report.verdicts[0].note
    bench.tick()
    assert bench.states() == [TxState.FINAL]
    assert chain.executed == 1
    assert len(chain.sends) == 2
    assert len(set(chain.sends)) == 1


def test_tick__receipt_newer_than_the_snapshot__waits(bench, chain):
    chain.automine = False
    bench.tick()
    old = chain.block
    chain.mine()
    chain.block = old
    report = bench.tick()
    assert bench.states() == [TxState.ACCEPTED]
    assert len(report.waiting) == 1


def test_tick__dropped_and_plan_expired__failed_and_planned_anew(bench, chain):
    chain.automine = False
    bench.tick()
    chain.pool.clear()
    chain.automine = True
    chain.block = replace(chain.block, at=NOW + 601, number=150)
    chain.vault = replace(chain.vault, price_updated_at=NOW + 600)
    bench.tick()
    assert bench.states() == [TxState.FAILED, TxState.FINAL]
    assert chain.executed == 1


def test_tick__dropped_and_refused_now__is_not_sent_again(bench, chain):
    chain.automine = False
    bench.tick()
    chain.pool.clear()
    chain.refusal = "book: wrong nonce"
    for _ in range(3):  # another node may have it, and be the reason of the refusal
        bench.tick()
        assert bench.states() == [TxState.ACCEPTED]
        chain.pass_blocks(1)
    bench.tick()
    assert bench.states()[0] is TxState.FAILED
    assert len(chain.sends) == 1


def test_tick__nonce_counted_and_receipt_later__is_watched(bench, chain):
    """Anvil, and nodes behind one address: the nonce is counted before the receipt is there."""
    chain.no_receipts = True
    bench.tick()
    for _ in range(5):
        chain.pass_blocks(1)
        bench.tick()
    assert bench.states() == [TxState.ACCEPTED]
    chain.no_receipts = False
    bench.tick()
    assert bench.states() == [TxState.FINAL]
    assert (chain.executed, len(chain.sends)) == (1, 1)


def test_tick__nonce_counted_by_a_node_that_lags__is_watched(bench, chain):
    chain.no_receipts = chain.forgets = True
    bench.tick()
    for _ in range(2):
        chain.pass_blocks(1)
        bench.tick()
    chain.forgets = False
    bench.tick()  # seen again: the count begins anew
    chain.forgets = True
    for _ in range(2):
        chain.pass_blocks(1)
        bench.tick()
    assert bench.states() == [TxState.ACCEPTED]
    chain.no_receipts = False
    bench.tick()
    assert bench.states() == [TxState.FINAL]


def test_tick__nonce_taken_by_another__failed_after_some_blocks(bench, chain):
    chain.automine = False
    bench.tick()
    chain.pool.clear()
    chain.nonce += 1
    chain.vault = replace(chain.vault, venues=(venue(assets=35 * ETHER, delta=-100 * ETHER),))
    for _ in range(3):
        bench.start()  # what was missed is remembered
        bench.tick()
        assert bench.states() == [TxState.ACCEPTED]
        chain.pass_blocks(1)
    bench.tick()
    assert bench.states() == [TxState.FAILED]
    assert "took its place" in bench.journal.transactions()[0].detail


def test_send__node_says_it_is_broken_and_has_it__one_signature(bench, chain):
    chain.automine = False
    chain.answers = [ChainUnavailable("internal error")]
    with pytest.raises(ChainUnavailable):
        bench.tick()
    assert bench.states() == [TxState.SIGNED]
    chain.forgets = True  # and another node answers
    chain.answers = [ChainUnavailable("internal error"), NonceTaken("nonce too low")]
    for _ in range(2):
        assert "waiting for" in bench.tick().verdicts[0].note
        assert bench.states() == [TxState.SIGNED]
    chain.forgets = False
    chain.mine()
    bench.tick()
    assert bench.states() == [TxState.FINAL]
    assert len(bench.signer.envelopes) == chain.executed == 1


def test_send__refused__failed_and_the_nonce_is_free(bench, chain):
    chain.answers = [SendRefused("insufficient funds")]
    report = bench.tick()
    assert bench.states() == [TxState.FAILED]
    assert "insufficient funds" in report.sent[0].detail
    bench.tick()
    assert bench.states() == [TxState.FAILED, TxState.FINAL]
    assert [envelope.nonce for envelope in bench.signer.envelopes] == [5, 5]


def test_send__nonce_too_low_for_what_the_node_has__is_accepted(bench, chain):
    def forwarded(signed):
        chain.pool[signed.tx_hash] = signed.raw
        chain.mine()
        raise NonceTaken("nonce too low")

    chain.send = forwarded
    bench.tick()
    assert bench.states() == [TxState.FINAL]


def test_tick__foreign_transaction_in_the_pool__signs_nothing(bench, chain):
    chain.foreign = 1
    note = bench.tick().verdicts[0].note
    assert note == "the key has a transaction in the pool that the journal does not know, nonce 5"
    assert (bench.signer.envelopes, bench.states()) == ([], [])
    chain.foreign = 0
    bench.tick()
    assert bench.states() == [TxState.FINAL]


BOOK_A, BOOK_B = "0x" + "a1" * 20, "0x" + "b1" * 20


def over_gas(chain):
    chain.simulated = {BOOK_A: 4_000_000}


def node_refuses(chain):
    chain.simulated = {BOOK_A: Unsendable("the node cannot simulate: gas required exceeds")}


def chain_refuses(chain):
    chain.simulated = {BOOK_A: CallRefused("venue: pool too small")}


def cannot_afford(chain):
    chain.simulated = {BOOK_A: 2_000_000}
    chain.balance = 10**15  # 2,400,000 gas at 3 gwei are 0.0072


def send_refused(chain):
    chain.answers = [SendRefused("exceeds block gas limit")]


@pytest.mark.parametrize(
    "trouble", [over_gas, node_refuses, chain_refuses, cannot_afford, send_refused]
)
def test_tick__one_vault_refused__the_next_is_hedged(bench, chain, trouble):
    chain.vault = replace(chain.vault, book=BOOK_A)
    chain.others = [replace(chain.vault, vault="0x" + "b0" * 20, book=BOOK_B)]
    trouble(chain)
    report = bench.tick()
    ends = [(tx.book, tx.state) for tx in bench.journal.transactions()]
    assert ends == [(BOOK_A, TxState.FAILED), (BOOK_B, TxState.FINAL)]
    assert [envelope.nonce for envelope in bench.signer.envelopes][-1] == 5
    assert bench.journal.ticks()[-1]["result"] == "ok"
    assert "final" in report.verdicts[1].note


def test_tick__node_goes_silent__ends_the_tick(bench, chain):
    chain.vault = replace(chain.vault, book=BOOK_A)
    chain.others = [replace(chain.vault, vault="0x" + "b0" * 20, book=BOOK_B)]
    chain.simulated = {BOOK_A: ChainUnavailable("silent")}
    with pytest.raises(ChainUnavailable):
        bench.tick()
    assert len(bench.states()) == 1


def test_tick__reorg__mined_goes_back_and_final_comes(bench, chain):
    bench.start(confirmations=3)
    bench.tick()
    assert bench.states() == [TxState.MINED]
    (tx_hash,) = chain.sends
    gone = chain.receipts.pop(tx_hash)
    chain.nonce -= 1
    chain.pool[tx_hash] = b"raw"
    bench.tick()
    assert bench.states() == [TxState.ACCEPTED]
    chain.pool.clear()
    chain.nonce += 1
    chain.receipts[tx_hash] = replace(gone, block_hash="0xother", block_number=102)
    chain.block = replace(chain.block, number=104)
    bench.tick()
    assert bench.states() == [TxState.FINAL]
    assert bench.journal.steps(bench.journal.transactions()[0]) == [
        "planned", "signed", "accepted", "mined", "accepted", "mined", "final",
    ]  # fmt: skip


def undo(bench, chain):
    """Take the block of the hedge away, deeper than the confirmations, and go on above it."""
    (tx_hash,) = chain.sends
    gone = chain.receipts.pop(tx_hash)
    chain.nonce -= 1
    chain.vault = bench.before
    chain.pass_blocks(2)
    return tx_hash, gone


@pytest.fixture
def hedged(bench, chain):
    bench.before = chain.vault
    bench.tick()
    assert bench.states() == [TxState.FINAL]
    return bench


@pytest.mark.parametrize("restarted", [False, True])
def test_tick__reorg_under_the_confirmations__final_opens_and_is_sent_again(
    hedged, chain, restarted
):
    tx_hash, _ = undo(hedged, chain)
    if restarted:
        hedged.start()
    report = hedged.tick()
    assert hedged.states() == [TxState.ACCEPTED]
    assert report.verdicts[0].note == f"waiting for transaction {tx_hash}"
    assert {"event": "undone", "tx": tx_hash, "was": "final", "nonce": 5} in hedged.log.lines
    hedged.tick()
    hedged.tick()
    assert chain.sends == [tx_hash, tx_hash]
    assert (hedged.states(), chain.vault.state.nonce) == ([TxState.FINAL], 8)
    (tx,) = hedged.journal.transactions()
    assert (tx.succeeded, tx.block_number) == (True, chain.block.number)


def test_tick__reorg_under_the_confirmations_and_plan_expired__planned_anew(hedged, chain):
    tx_hash, _ = undo(hedged, chain)
    chain.block = replace(chain.block, at=chain.block.at + 700)
    for _ in range(3):
        hedged.tick()
    assert hedged.states() == [TxState.FAILED, TxState.FINAL]
    assert chain.sends[0] == tx_hash != chain.sends[1]
    first, second = hedged.journal.transactions()
    assert (first.failure, first.plan_nonce) == (Failure.DROPPED, second.plan_nonce)


def test_tick__reorg_under_the_confirmations_and_mined_again__nothing_is_sent(hedged, chain):
    tx_hash, gone = undo(hedged, chain)
    chain.vault = replace(chain.vault, state=replace(chain.vault.state, paused_until=NOW + 10**6))
    hedged.tick()
    chain.receipts[tx_hash] = replace(gone, block_number=chain.block.number, block_hash="0xother")
    chain.nonce += 1
    hedged.tick()
    assert (hedged.states(), len(chain.sends)) == ([TxState.FINAL], 1)


def test_tick__nonce_of_a_lower_head__nothing_opens(hedged, chain):
    """A node that lags has not seen the block yet: it says nothing about it."""
    hedged.start()
    head, chain.nonce = chain.block, chain.nonce - 1
    chain.block = replace(head, number=head.number - 1)
    hedged.tick()
    assert hedged.states()[0] is TxState.FINAL


def test_tick__undone_before_the_start_at_a_lower_head__opens_once_the_head_is_past_it(
    hedged, chain
):
    undo(hedged, chain)
    chain.vault = replace(chain.vault, state=replace(chain.vault.state, paused_until=NOW + 10**6))
    hedged.start()
    head = chain.block
    chain.block = replace(head, number=head.number - 3)
    hedged.tick()
    assert hedged.states() == [TxState.FINAL]
    chain.block = head
    hedged.tick()
    assert hedged.states() == [TxState.ACCEPTED]


def gap(bench, chain):
    """Let something of another process vanish whose nonce was before ours."""
    chain.automine = False
    bench.tick()
    assert bench.states() == [TxState.ACCEPTED]
    chain.nonce, chain.foreign = 4, -1  # what waits behind a gap is not counted


def test_tick__nonce_before_ours_is_gone__filled_after_some_blocks(bench, chain):
    gap(bench, chain)
    for _ in range(3):
        bench.tick()
        assert len(chain.sends) == 1
        chain.pass_blocks(1)
    bench.tick()
    filled = bench.signer.envelopes[-1]
    assert (filled.nonce, filled.to, filled.calldata) == (4, KEEPER, b"")
    assert [tx.purpose for tx in bench.journal.transactions()] == ["rebalance", "fill"]
    assert any(line["event"] == "gap" and line["nonce"] == 4 for line in bench.log.lines)
    bench.tick()
    assert len(chain.sends) == 2  # one is enough
    hedge, chain.hedge, chain.foreign = chain.hedge, lambda: None, 0
    ours, fills = list(chain.pool), chain.pool.pop(chain.sends[-1])
    chain.pool = {chain.sends[-1]: fills}
    chain.mine()
    chain.hedge = hedge
    chain.pool = {ours[0]: b""}
    chain.mine()
    bench.tick()
    assert bench.states() == [TxState.FINAL, TxState.FINAL]
    assert chain.executed == 1


@pytest.mark.parametrize("why", ["comes back", "another waits there", "kill file", "base fee"])
def test_tick__gap_that_closes_or_is_not_to_be_closed__sends_nothing(bench, chain, why):
    gap(bench, chain)
    bench.tick()
    chain.pass_blocks(2)
    if why == "comes back":
        chain.nonce = 5
    elif why == "another waits there":
        chain.foreign = 0
    elif why == "kill file":
        bench.kill_file.touch()
    else:
        chain.block = replace(chain.block, base_fee=101 * GWEI)
    bench.tick()
    chain.nonce = 4
    chain.pass_blocks(1)
    bench.tick()
    assert len(chain.sends) == 1


def test_tick__gap_and_the_node_goes_silent__filled_later(bench, chain):
    gap(bench, chain)
    bench.tick()
    chain.pass_blocks(3)
    chain.fail_at, chain.error = "simulate", ChainUnavailable("silent")
    bench.tick()
    assert bench.log.lines[-2]["event"] == "not filled"
    bench.tick()
    assert len(chain.sends) == 2


STAGES = ["read", "simulate", "sign", "before send", "after send", "receipt"]


@pytest.mark.parametrize("stage", STAGES)
def test_restart__killed_at_each_boundary__hedges_exactly_once(bench, chain, stage):
    chain.fail_at = stage
    with pytest.raises(Killed):
        bench.tick()
    bench.start()
    for _ in range(3):
        bench.tick()
    assert chain.executed == 1
    assert bench.journal.in_flight() == []
    assert bench.states().count(TxState.FINAL) == 1


@pytest.mark.parametrize("stage", STAGES)
def test_restart__killed_before_mining__hedges_exactly_once(bench, chain, stage):
    chain.automine = False
    chain.fail_at = stage
    with pytest.raises(Killed):
        bench.tick()
    bench.start()
    chain.automine = True
    if stage in ("after send", "receipt"):
        chain.mine()
    for _ in range(3):
        bench.tick()
    assert chain.executed == 1
    assert bench.journal.in_flight() == []


@pytest.mark.parametrize("stage", ["before send", "after send"])
def test_send__node_goes_silent__resolved_by_the_next_tick(bench, chain, stage):
    chain.fail_at, chain.error = stage, ChainUnavailable("silent")
    with pytest.raises(ChainUnavailable):
        bench.tick()
    assert bench.states() == [TxState.SIGNED]
    bench.tick()
    bench.tick()
    assert chain.executed == 1
    assert bench.states() == [TxState.FINAL]


def test_tick__fault__recorded_and_logged(bench, chain):
    chain.fail_at, chain.error = "read", ChainUnavailable("the node at h cannot be reached")
    with pytest.raises(ChainUnavailable):
        bench.tick()
    (tick,) = bench.journal.ticks()
    assert (tick["result"], tick["detail"]) == ("fault", "the node at h cannot be reached")
    assert bench.log.lines[0]["error"] == "the node at h cannot be reached"


def test_tick__journal_of_an_earlier_chain__refused_before_anything_is_done(bench, chain):
    chain.genesis = "0xaa"
    bench.tick()
    chain.genesis = "0xbb"
    chain.vault = replace(chain.vault, venues=(venue(assets=35 * ETHER, delta=-50 * ETHER),))
    for _ in range(2):
        with pytest.raises(ConfigInvalid, match="began with block 0xaa, this one with 0xbb"):
            bench.start().tick()
    assert len(chain.sends) == 1


def test_tick__blocks_were_replaced__in_the_canonical_line(bench, chain):
    bench.tick()
    chain.replaced_from = 99
    bench.tick()
    assert ["replaced_from" in line for line in bench.log.lines] == [False, True]
    assert bench.log.lines[1]["replaced_from"] == 99


def test_tick__deadline_over__never_sends(bench, chain):
    clock = [0.0]
    deadline = Deadline(10.0, lambda: clock[0])
    sign = bench.signer.sign

    def slow(envelope):
        clock[0] = 11.0
        return sign(envelope)

    bench.signer.sign = slow
    with pytest.raises(DeadlineExceeded):
        bench.keeper.tick(deadline)
    assert chain.sends == []
    assert bench.states() == [TxState.FAILED]


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("automine", [True, False])
def test_tick__given_up_in_a_call__writes_and_sends_nothing_more(bench, chain, stage, automine):
    """The job hangs in a request, another resolves its transaction, then the answer comes."""
    deadline, enter = Deadline(10.0), chain._enter
    after, sends = [], []
    chain.automine = automine

    def hang(at):
        if at == stage and not after:
            after.append(None)
            deadline.give_up()
            with ThreadPoolExecutor(1) as pool:
                pool.submit(bench.keeper.tick, Deadline(10.0)).result()
            after[0] = (bench.journal.transactions(), bench.journal.ticks())
            sends[:] = chain.sends
        enter(at)

    chain._enter = hang
    with pytest.raises(DeadlineExceeded):
        bench.keeper.tick(deadline)
    assert (bench.journal.transactions(), bench.journal.ticks()) == after[0]
    late = 1 if stage == "before send" else 0  # it hung in the very call that sends
    assert len(chain.sends) == len(sends) + late
    assert len(set(chain.sends)) == 1


def test_watch__calm__reads_and_records_nothing(bench, chain):
    assert bench.keeper.watch(Deadline(10.0)) is None
    assert bench.journal.ticks() == []
    assert chain.requests == 1


def test_watch__margin_urgent__runs_a_cycle(bench, chain):
    low = venue(assets=3 * ETHER, delta=-100 * ETHER)
    chain.vault = replace(chain.vault, venues=(low,), idle_assets=Assets(97 * ETHER))
    report = bench.keeper.watch(Deadline(10.0))
    assert report is not None
    assert bench.journal.ticks()[0]["job"] == "margin watch"
    assert len(chain.sends) == 1


# Without a journal, or without the lease: it watches and does not send


class Seen:
    """Keeps what it is told of ticks."""

    def __init__(self):
        self.reports = []

    def ended(self, report, error):
        self.reports.append((report, error))


def hold_lock(bench):
    other = sqlite3.connect(bench.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    return other.close


def fill_disk(bench):
    """Let SQLite find no room for another page."""

    def limit(connection, _record, pages):
        connection.execute(f"PRAGMA max_page_count = {pages}")

    engine = bench.journal._database._engine
    pages = bench.path.stat().st_size // 4096
    few = partial(limit, pages=pages)
    many = partial(limit, pages=2**30)
    engine.dispose()
    sa.event.listen(engine, "connect", few)
    with suppress(sa.exc.OperationalError):
        for number in range(10_000):
            with engine.begin() as db:
                db.exec_driver_sql(f"INSERT INTO policies VALUES ('{number}', '{'x' * 100}')")

    def free():
        sa.event.remove(engine, "connect", few)
        sa.event.listen(engine, "connect", many)
        engine.dispose()

    return free


def damage(bench):
    """Spoil the bytes of a transaction that is on its way."""
    with closing(sqlite3.connect(bench.path)) as db:
        (raw,) = db.execute("SELECT raw FROM transactions").fetchone()
        db.execute("UPDATE transactions SET raw = x'00'")
        db.commit()

    def mend():
        with closing(sqlite3.connect(bench.path)) as db:
            db.execute("UPDATE transactions SET raw = ?", (raw,))
            db.commit()

    return mend


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (hold_lock, "database is locked: end what else holds it"),
        (fill_disk, "database or disk is full: free disk space"),
        (damage, "transaction 1 is damaged (its bytes are not those of its hash): restore it"),
    ],
)
def test_tick__journal_ill__watches_sends_nothing_and_goes_on_when_it_is_well(
    bench, chain, monkeypatch, harm, words
):
    monkeypatch.setattr(database, "LOCK_SECS", 0.2)
    bench.start()
    if harm is damage:
        chain.fail_at = "before send"
        with pytest.raises(Killed):
            bench.tick()
        bench.start()
    seen = bench.keeper.witness = Seen()
    well_again = harm(bench)
    for _ in range(2):
        with pytest.raises(JournalUnavailable) as fault:
            bench.tick()
        assert words in str(fault.value)
        assert "\n" not in str(fault.value)
    assert chain.sends == []
    for report, error in seen.reports:
        assert isinstance(error, JournalUnavailable)
        assert report.reading.block == chain.block
        (verdict,) = report.verdicts
        assert verdict.risk.drift_bps == 200
        assert verdict.withheld
        assert words in verdict.note
    assert not error.rarer
    well_again()
    bench.tick()
    assert chain.executed == 1


class Leadership:
    """A lease that the test gives and takes."""

    holder = "process 7"

    def __init__(self):
        self.mine = False
        self.lose_after = None  # checks

    def leads(self):
        return self.mine

    def check(self):
        if self.lose_after is not None:
            self.lose_after -= 1
            self.mine = self.mine and self.lose_after >= 0
        if not self.mine:
            raise LeaseLost("the lease is lost")


def test_tick__another_leads__watches_writes_and_sends_nothing(bench, chain):
    lease = Leadership()
    bench.keeper._lease = lease
    bench.journal.fence = lease.check
    bench.keeper._sending._check = lease.check
    report = bench.tick()
    assert not report.leads
    assert report.verdicts[0].note == "process 7 leads"
    assert chain.sends == []
    assert bench.journal.ticks() == []
    assert bench.log.lines[-1]["role"] == "standby"
    lease.mine = True
    assert bench.tick().leads
    assert chain.executed == 1


def test_tick__takes_over__with_the_memory_that_the_other_left(bench, chain):
    """A standby that led before must not decide on what it remembers of that time."""
    bench.tick()
    lease = Leadership()
    bench.keeper._lease = lease
    with sqlite3.connect(bench.path) as db:
        db.execute("UPDATE decisions SET memory_after = '{\"hedging\":true}'")
    bench.tick()
    lease.mine = True
    bench.tick()
    *_, last = bench.journal.decisions()
    assert last.memory_before == Memory(hedging=True)


@pytest.mark.parametrize("checks", range(5))
def test_tick__lease_lost_at_any_write_or_send__nothing_more_is_done(bench, chain, checks):
    """Tick with plan, signed and counted, sent, accepted: each stands behind a check of its own."""
    lease = Leadership()
    lease.mine, lease.lose_after = True, checks
    bench.keeper._lease = lease
    bench.journal.fence = lease.check
    bench.keeper._sending._check = lease.check
    with pytest.raises(LeaseLost):
        bench.tick()
    assert len(chain.sends) == (checks >= 3)
    assert bench.log.lines[-1]["role"] == "standby"
    bench.start()  # whoever leads now
    for _ in range(2):
        chain.pass_blocks(1)
        bench.tick()
    assert chain.executed == 1
    assert TxState.FINAL in bench.states()


def test_tick__decision_cannot_be_written_with_its_plan__neither_is_nor_is_remembered(bench, chain):
    plan = bench.journal.plan

    def full(*args):
        raise JournalUnavailable("the disk is full")

    bench.journal.plan = full
    with pytest.raises(JournalUnavailable):
        bench.tick()
    assert (chain.sends, bench.journal.ticks(), list(bench.journal.decisions())) == ([], [], [])
    bench.journal.plan = plan
    bench.tick()
    (row,) = bench.journal.decisions()
    assert row.memory_before == Memory()
    assert chain.executed == 1


def test_tick__signer_refuses__nothing_is_sent_and_the_next_tick_tries_again(bench, chain):
    sign = bench.signer.sign

    def refuse(envelope):
        raise SignerFault("the signer at h:1 refuses to sign: Request denied")

    bench.signer.sign = refuse
    report = bench.tick()
    assert "Request denied" in report.verdicts[0].note
    (tx,) = bench.journal.transactions()
    assert (tx.state, tx.failure, tx.sends) == (TxState.FAILED, Failure.REFUSED, 0)
    bench.signer.sign = sign
    bench.tick()
    assert chain.executed == 1


# Replacing what waits too long


def waiting(bench, chain, **fees):
    """Return a bench whose hedge waits in a pool that nobody mines."""
    chain.automine = False
    orders = bench.keeper._orders.fees
    bench.start(fees=replace(orders, replace_after_secs=10.0, **fees))
    bench.now = 1.0
    bench.keeper._sending._wall = lambda: bench.now
    bench.tick()
    assert bench.states() == [TxState.ACCEPTED]
    return bench


def later(bench, secs=11.0):
    bench.now += secs
    bench.tick()


def test_tick__waits_too_long__paid_an_eighth_more_with_the_same_nonce(bench, chain):
    waiting(bench, chain)
    first = bench.signer.envelopes[-1]
    later(bench, 9.0)
    assert len(chain.sends) == 1  # not yet
    later(bench, 2.0)
    second = bench.signer.envelopes[-1]
    assert (second.nonce, second.calldata, second.to) == (first.nonce, first.calldata, first.to)
    assert second.max_fee >= first.max_fee * 1.125
    assert second.priority_fee >= first.priority_fee * 1.125
    (tx,) = bench.journal.transactions()
    assert (tx.state, tx.sends, tx.max_fee) == (TxState.ACCEPTED, 2, second.max_fee)
    assert len(bench.journal.signatures([tx])[tx.id]) == 2
    assert bench.journal.hashes([tx]) == chain.sends


def test_tick__clock_was_set_back__does_not_wait_until_it_is_as_late_again(bench, chain):
    waiting(bench, chain)
    later(bench, -7_200.0)
    assert len(chain.sends) == 2
    later(bench, 9.0)
    assert len(chain.sends) == 2


@pytest.mark.parametrize("which", [0, 1, 2])
def test_tick__any_of_those_of_one_nonce_is_mined__final_by_its_own_hash(bench, chain, which):
    waiting(bench, chain)
    later(bench)
    later(bench)
    assert len(chain.sends) == 3
    won = chain.sends[which]
    for other in set(chain.sends) - {won}:
        del chain.pool[other]
    chain.mine()
    later(bench)
    (tx,) = bench.journal.transactions()
    assert (tx.state, tx.tx_hash) == (TxState.FINAL, won)
    assert keccak(tx.raw).hex() == won[2:]
    assert chain.executed == 1


def test_tick__fee_spike__follows_the_base_fee_up_to_the_cap_and_then_waits(bench, chain):
    waiting(bench, chain)
    chain.block = replace(chain.block, base_fee=40 * GWEI)
    later(bench)
    assert bench.signer.envelopes[-1].max_fee > 80 * GWEI
    later(bench)
    assert bench.signer.envelopes[-1].max_fee <= 100 * GWEI
    sent = len(chain.sends)
    later(bench)
    later(bench)
    assert len(chain.sends) == sent
    assert bench.log.lines[-2]["why"] == "waits in the pool at the fee cap"


def test_tick__so_many_replacements_and_no_more(bench, chain):
    waiting(bench, chain, max_replacements=2)
    for _ in range(5):
        later(bench)
    assert len(chain.sends) == 3


@pytest.mark.parametrize("mined", ["the plan", "what frees the nonce"])
def test_tick__plan_expired_while_it_waited__the_nonce_is_freed(bench, chain, mined):
    waiting(bench, chain)
    chain.block = replace(chain.block, at=chain.block.at + 700)
    later(bench)
    frees = bench.signer.envelopes[-1]
    assert (frees.to, frees.calldata, frees.gas) == (KEEPER, b"", 21_000)
    plan, empty = chain.sends
    del chain.pool[empty if mined == "the plan" else plan]
    chain.reverts = mined == "the plan"  # it is late
    hedge, chain.hedge = chain.hedge, lambda: None
    chain.mine()
    chain.reverts, chain.hedge, chain.automine = False, hedge, True
    later(bench)
    first, *_ = bench.journal.transactions()
    wanted = Failure.REVERTED if mined == "the plan" else Failure.SUPERSEDED
    assert (first.state, first.failure) == (TxState.FAILED, wanted)
    later(bench)
    assert chain.executed == 1  # the next one hedges


@pytest.mark.parametrize("fault", [SendRefused("underpriced"), ChainUnavailable("silent")])
def test_tick__better_paid_one_is_not_taken__the_first_still_counts(bench, chain, fault):
    waiting(bench, chain)
    chain.answers = [fault]
    later(bench)
    chain.mine() if isinstance(fault, SendRefused) else None
    if not isinstance(fault, SendRefused):
        del chain.pool[chain.sends[1]]
        chain.mine()
    later(bench)
    (tx,) = bench.journal.transactions()
    assert (tx.state, tx.tx_hash) == (TxState.FINAL, chain.sends[0])
    assert chain.executed == 1


def test_restart__killed_between_signing_better_paid_bytes_and_sending__goes_on(bench, chain):
    waiting(bench, chain)
    chain.fail_at = "before send"
    with pytest.raises(Killed):
        later(bench)
    (tx,) = bench.journal.transactions()
    assert len(bench.journal.signatures([tx])[tx.id]) == 2
    bench.start()
    chain.mine()
    bench.tick()
    (tx,) = bench.journal.transactions()
    assert (tx.state, tx.tx_hash) == (TxState.FINAL, chain.sends[0])


def test_tick__kill_file__nothing_is_replaced(bench, chain):
    waiting(bench, chain)
    bench.kill_file.touch()
    later(bench)
    assert len(chain.sends) == 1
