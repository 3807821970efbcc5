# SPDX-License-Identifier: MIT
"""The keeper's command line against real nodes: it hedges, once, and knows when not to."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path

import pytest
from eth_account import Account

from keeper.chain import Chain, Node
from keeper.deadline import Deadline
from keeper.journal import Journal, TxState
from keeper.outcome import project
from keeper.plan import plan_hash
from keeper.risk import assess
from keeper.snapshot import Address
from keeper.strategy import Rebalance, decide
from tests.keeper_node import KEY_ENV, Desk, Proxy, keeper_key, signer_process
from tests.script_world import ETHER

pytestmark = [
    pytest.mark.node,
    # Brownie's own: a node of a certain age, and threads that wait for confirmations.
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning"),
]


# What depends on the node runs on both; the rest is the keeper's own and processes start slowly.
on_both = pytest.mark.parametrize("system", ["anvil", "ganache"], indirect=True, scope="module")


@pytest.fixture
def desk(world, tmp_path):
    return Desk(world, tmp_path)


def snapshot(world):
    vault = Address(world.at("HedgeVault").address.lower())
    chain = Chain(
        Node(
            rpc_url=world.node.url, chain_id=world.node.chain_id,
            lens=Address(world.at("VaultLens").address.lower()), head_max_age_secs=None,
        )
    )  # fmt: skip
    try:
        return chain.read([vault], None, [], Deadline(10.0)).snapshots[0]
    finally:
        chain.close()


def transactions(desk):
    journal = Journal(desk.journal, desk.world.node.chain_id)
    try:
        return journal.transactions()
    finally:
        journal.close()


def line_of(result):
    lines = [json.loads(line) for line in result.stderr.splitlines() if line.startswith("{")]
    return next(line for line in lines if line["event"] == "once")


def short(world):
    return snapshot(world).vault.venues[0].margin.delta


@on_both
def test_once__drifted_vault__hedged_by_one_transaction(desk, world):
    state = snapshot(world)
    result = desk("once", "--live")
    assert result.returncode == 0, result.stderr
    assert "rebalance: drift 10000 bps -> final 0x" in result.stdout
    (tx,) = transactions(desk)
    assert (tx.state, tx.sends, tx.plan_nonce) == (TxState.FINAL, 1, 0)
    assert short(world) == -50 * ETHER

    journal = Journal(desk.journal, world.node.chain_id)
    (row,) = journal.decisions()
    journal.close()
    assert row.snapshot.words == state.words
    expected = project(row.snapshot.vault, row.plan, assess(row.snapshot.vault))
    after = assess(snapshot(world).vault)
    # to the unit: what was projected is what happened
    assert (after.nav, after.delta) == (expected.after.nav, expected.after.delta)
    assert after.drift_bps == 0
    assert "0x" + plan_hash(row.plan).hex() == plan_hash_on_chain(world, row.plan)


def plan_hash_on_chain(world, plan):
    from eth_utils import to_checksum_address

    legs = [(to_checksum_address(leg.venue), *leg.words()[1:]) for leg in plan.legs]
    words = plan.words()
    return str(world.at("HedgeBook").plan_hash((*words[:3], legs, *words[4:])))


@on_both
def test_once__again__idempotent(desk, world):
    desk("once", "--live")
    again = desk("once", "--live")
    assert again.returncode == 0
    assert "hold: drift" in again.stdout
    assert len(transactions(desk)) == 1
    assert short(world) == -50 * ETHER


def test_once__without_live__sends_nothing(desk, world):
    result = desk("once")
    assert result.stdout.rstrip().endswith("-> dry run")
    assert transactions(desk) == []
    assert short(world) == 0


@on_both
def test_requests__one_a_tick_and_one_to_send(world, tmp_path):
    with Proxy(world.node.url) as proxy:
        desk = Desk(world, tmp_path, proxy.url)
        sending = desk("once", "--live")
        read, simulate, send, *polls = proxy.take()
        idle = desk("once", "--live")
        (only,) = proxy.take()
    assert sending.returncode == idle.returncode == 0
    assert read == only
    assert read.count("eth_call") == 1
    assert simulate == ("eth_call", "eth_estimateGas")
    assert send == ("eth_sendRawTransaction",)
    assert len(polls) >= 1
    assert {"eth_getTransactionReceipt", "eth_blockNumber"} == set(polls[0])
    assert line_of(idle)["requests"] == 1


@on_both
def test_read__at_an_earlier_block__by_hash_where_the_node_can(world):
    """As a reading is taken again when the head moves in the middle of it."""
    number = int(world.node.request("eth_blockNumber"), 16)
    before = snapshot(world)
    world.refresh(2_600 * 10**8)
    with Proxy(world.node.url) as proxy:
        node = Node(
            rpc_url=proxy.url, chain_id=world.node.chain_id, head_max_age_secs=None,
            lens=Address(world.at("VaultLens").address.lower()),
        )  # fmt: skip
        chain = Chain(node)
        reader = chain._reader
        question = reader.question([before.vault.vault], None, [])
        (endpoint,) = chain._pool.endpoints
        for _ in range(2):
            (reading,) = reader._read_at(number, [endpoint], None, question, 10.0).values()
            assert reading.block == before.block
            assert reading.snapshots[0].words == before.words
        methods = [request[1] for request in proxy.take() if len(request) > 1]
        chain.close()
    by_hash, by_number = "eth_getBlockByHash", "eth_getBlockByNumber"
    can = world.node.kind == "anvil"
    # Ganache is asked by hash once
    assert methods == ([by_hash, by_hash] if can else [by_hash, by_number, by_number])


def test_explain__recorded_decision__made_again(desk, world):
    desk("once", "--live")
    result = desk("explain", "last")
    assert result.returncode == 0
    assert "made again from the recorded inputs: the same" in result.stdout
    assert "each derived line recomputed: all right" in result.stdout
    assert "wanted" in result.stdout


def test_audit_and_report__after_a_hedge(desk, world):
    desk.write(world.node.url, more="", deployment=True)
    desk("once", "--live")
    audited = desk("audit")
    assert audited.returncode == 0, audited.stdout + audited.stderr
    assert "state and audit head follow from the events" in audited.stdout
    assert "a timelock of 172800 s: operations 0 executed, 0 cancelled" in audited.stdout
    written = desk("report", "--folder", str(desk.folder / "report"))
    assert written.returncode == 0, written.stderr
    page = written.stdout.split("Written: ")[1].strip()
    assert "<html" in Path(page).read_text()[:300]


def test_status__shows_the_vault(desk, world):
    result = desk("status")
    assert result.returncode == 0
    assert "50.0000 tETH" in result.stdout
    assert "100.00 %" in result.stdout


@on_both
def test_doctor__healthy_node__changes_nothing(desk, world):
    before = world.node.request("eth_blockNumber")
    result = desk("doctor")
    assert result.returncode == 0, result.stdout
    assert world.node.request("eth_blockNumber") == before
    assert not desk.journal.exists()
    if world.node.kind == "ganache":
        assert "state by block hash: is refused -> reads again by number" in result.stdout
        assert "nonce 0" in result.stdout
        assert "pending nonce" in result.stdout
    else:
        assert "state by block hash: works" in result.stdout
        assert "replacement" in result.stdout


# Not to be sent


def refused(desk, words, code=1):
    result = desk("once", "--live")
    assert result.returncode == code, result.stderr
    said = [line for line in result.stderr.splitlines() if not line.startswith("{")]
    assert len(said) == 1
    assert said[0].startswith("hedgevault: ")
    assert words in said[0]
    assert short(desk.world) == 0


def test_once__wrong_chain__one_line(desk, world):
    desk.write(world.node.url, chain_id=1)
    refused(desk, f"the node is on chain {world.node.chain_id}, expected 1")


def test_once__node_down__one_line(desk, world):
    desk.write("http://127.0.0.1:9")
    refused(desk, "the node at 127.0.0.1:9 cannot be reached")


def test_once__node_behind__one_line(desk, world):
    time.sleep(1.1)
    desk.write(world.node.url, chain="head_max_age_secs = 0.5")
    refused(desk, "s old, allowed are 0.5 s")


def test_once__no_key__usage(desk, world, monkeypatch):
    monkeypatch.setattr(desk, "environment", dict)
    refused(desk, "signer.key_env: HEDGEVAULT_TEST_KEY is not set", code=2)


@on_both
def test_once__stale_oracle__refuses_and_names_the_feed(desk, world):
    world.node.request("evm_increaseTime", 5_000)
    world.node.request("evm_mine")
    result = desk("once", "--live")
    assert result.returncode == 0
    assert "refused: no price: oracle: asset feed stale" in result.stdout
    assert transactions(desk) == []
    assert short(world) == 0


def test_once__old_oracle_for_us__refuses(desk, world):
    world.node.request("evm_increaseTime", 100)
    world.node.request("evm_mine")
    desk.write(world.node.url, more="[safety]\nmax_price_age_secs = 60")
    result = desk("once", "--live")
    assert "allowed are 60 s" in result.stdout
    assert short(world) == 0


def test_once__kill_file__sends_nothing(desk, world):
    (desk.folder / "hedgevault.stop").touch()
    assert "the kill switch is set" in desk("once", "--live").stdout
    assert short(world) == 0


def test_once__another_keeper_on_chain__sends_nothing(desk, world):
    world.govern("HedgeBook", "set_keeper", str(world.account(7)))
    assert "the vault's keeper is" in desk("once", "--live").stdout
    assert short(world) == 0


# Faults in the middle


@pytest.mark.parametrize("order", ["drop", "lose the answer"])
def test_once__connection_lost_at_the_send__hedged_once_in_the_end(world, tmp_path, order):
    broken = []

    def meddle(methods):
        if "eth_sendRawTransaction" in methods and not broken:
            broken.append(1)
            return order
        return None

    with Proxy(world.node.url) as proxy:
        proxy.meddle = meddle
        desk = Desk(world, tmp_path, proxy.url)
        assert desk("once", "--live").returncode == 1
        assert transactions(desk)[0].state is TxState.SIGNED
        for _ in range(3):
            assert desk("once", "--live").returncode == 0
    finals = [tx for tx in transactions(desk) if tx.state is TxState.FINAL]
    assert len(finals) == 1
    assert short(world) == -50 * ETHER
    assert int(world.at("HedgeBook").state()[0]) == 1


PATIENCE_SECS = 120  # a busy machine takes seconds to start a process
KILL_AT = ["eth_estimateGas", "eth_sendRawTransaction", "eth_getTransactionReceipt"]


@pytest.mark.parametrize("method", KILL_AT)
@pytest.mark.parametrize("forwarded", [True, False])
def test_run__killed_in_mid_cycle__the_next_start_hedges_once(world, tmp_path, method, forwarded):
    """SIGKILL while a request is under way, before or after the node has it."""
    with Proxy(world.node.url) as proxy:
        desk = Desk(world, tmp_path, proxy.url)
        process: subprocess.Popen[str] | None = None

        def meddle(methods):
            # the tick's own read asks no receipt while nothing is in flight
            if method in methods and process is not None and process.poll() is None:
                process.send_signal(signal.SIGKILL)
                process.wait()
                return "lose the answer" if forwarded else "drop"
            return None

        proxy.meddle = meddle
        with desk.started("run", "--live") as started:
            process = started
            process.communicate(timeout=PATIENCE_SECS)
        assert process.returncode == -signal.SIGKILL
        for _ in range(3):
            assert desk("once", "--live").returncode == 0
    assert short(world) == -50 * ETHER
    assert int(world.at("HedgeBook").state()[0]) == 1
    assert all(tx.state in (TxState.FINAL, TxState.FAILED) for tx in transactions(desk))


def test_run__until_a_signal__hedges_and_stops_cleanly(desk, world):
    desk.write(world.node.url, more="[jobs]\ntick_secs = 0.3\nmargin_watch_secs = 0.2")
    with desk.started("run", "--live") as process:
        until = time.monotonic() + PATIENCE_SECS
        while short(world) == 0 and time.monotonic() < until:
            time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=PATIENCE_SECS)
    assert process.returncode == 0
    assert short(world) == -50 * ETHER
    events = [json.loads(line)["event"] for line in said.splitlines()]
    assert events[0] == "started"
    assert events[-2:] == ["stopping", "stopped"] or events[-1] == "stopped"
    assert [tx.state for tx in transactions(desk)] == [TxState.FINAL]


def test_run__node_goes_down_and_comes_back__retries_and_hedges(world, tmp_path):
    down = True
    with Proxy(world.node.url) as proxy:
        proxy.meddle = lambda methods: "drop" if down else None
        desk = Desk(world, tmp_path, proxy.url)
        desk.write(proxy.url, more="[jobs]\ntick_secs = 0.3\nmargin_watch_secs = 5")
        with desk.started("run", "--live") as process:
            while len(proxy.methods) < 6:
                time.sleep(0.05)
            assert process.poll() is None
            down = False
            until = time.monotonic() + PATIENCE_SECS
            while short(world) == 0 and time.monotonic() < until:
                time.sleep(0.1)
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=PATIENCE_SECS)
    assert process.returncode == 0
    assert short(world) == -50 * ETHER
    lines = [json.loads(line) for line in said.splitlines()]
    assert any("cannot be reached" in line.get("error", "") for line in lines)
    assert any(line["event"] == "retry" for line in lines)


# The market moves


@on_both
def test_once__price_rises__margin_is_topped_up_by_a_real_transaction(desk, world):
    desk("once", "--live")
    world.refresh(2_500 * 10**8 * 13 // 10)
    result = desk("once", "--live")
    assert "rebalance: " in result.stdout
    assert "final" in result.stdout
    ratio = assess(snapshot(world).vault).margin_ratio_bps
    assert ratio >= 67_000


@on_both
def test_once__price_leaps__debt_is_settled_and_the_hedge_stays(desk, world):
    """From 2,500 to where the account is worth a little still: 20 of margin, a short of 50."""
    desk("once", "--live")
    world.refresh(3_600 * 10**8)
    align_spot(world, 3_600)
    world.pass_time(700)
    before = assess(snapshot(world).vault)
    assert before.quote_value < -before.nav // 3
    for _ in range(5):
        result = desk("once", "--live")
        assert result.returncode == 0, result.stdout + result.stderr
        world.pass_time(700)
    risk = assess(snapshot(world).vault)
    assert risk.drift_bps <= 150
    # the budgets of turnover let a day settle so much
    assert risk.quote_value > before.quote_value // 2
    assert risk.margin_ratio_bps > 67_000
    assert snapshot(world).vault.idle_assets > 0
    assert all(tx.state is TxState.FINAL for tx in transactions(desk))


def align_spot(world, price):
    """Trade the spot pool to a price, as an arbitrageur does."""
    from math import isqrt

    from scripts import calls

    spot, trader = world.at("SpotMarket"), world.account(4)
    assets, quote = (int(x) for x in spot.reserves())
    wanted = isqrt(assets * quote * 10**12 // price)
    bought = assets - wanted
    token = world.at("Quote")
    calls.send(trader, token.mint, trader, 2**100, doing="minting")
    calls.send(trader, token.approve, spot.address, 2**255, doing="approving")
    calls.send(trader, spot.buy, bought, 2**100, trader, doing="buying")


def test_projection__after_a_long_life__equals_the_chain(desk, world):
    desk("once", "--live")
    for price in (2_700, 2_300, 2_900):
        world.refresh(price * 10**8)
        world.pass_time(900)
        state = snapshot(world)
        decision = decide(state, desk_policy(desk), memory_of(desk, state))
        result = desk("once", "--live")
        assert result.returncode == 0
        if isinstance(decision, Rebalance) and "final" in result.stdout:
            expected = project(state.vault, decision.plan, assess(state.vault)).after
            after = assess(snapshot(world).vault)
            assert after.delta == expected.delta


def desk_policy(desk):
    from keeper.config import load_config

    return load_config(desk.path).policy


def memory_of(desk, state):
    journal = Journal(desk.journal, desk.world.node.chain_id)
    try:
        return journal.memory(state.vault.vault)
    finally:
        journal.close()


def test_once__remote_signer__hedged_by_one_transaction_and_its_refusal_is_told(desk, world):
    address = Account.from_key(keeper_key()).address
    with signer_process("web3signer") as url:
        text = desk.path.read_text()
        section = f'[signer]\nurl = "{url}"\naddress = "{address}"\n'
        desk.path.write_text(text.replace(f'[signer]\nkey_env = "{KEY_ENV}"\n', section))
        assert "has account" in desk("doctor").stdout
        result = desk("once", "--live")
        assert result.returncode == 0, result.stderr
        assert "-> final 0x" in result.stdout
        assert short(world) == -50 * ETHER
    world.refresh(3_250 * 10**8)
    down = desk("once", "--live")
    assert "cannot be reached" in down.stdout + down.stderr
    assert "s3cr3t" not in down.stdout + down.stderr
    assert [tx.state for tx in transactions(desk)] == [TxState.FINAL, TxState.FAILED]
