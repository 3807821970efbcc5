# SPDX-License-Identifier: MIT
"""The keeper does for venues and queues what it was asked for, once, and picks up where it was."""

from __future__ import annotations

import signal
import time
from contextlib import closing, contextmanager
from decimal import Decimal

import pytest

from keeper.caretaker import CHORES, Caretaker, Chores
from keeper.chain import Chain, Node
from keeper.deadline import Deadline
from keeper.errors import ChainUnavailable
from keeper.guard import Safety
from keeper.journal import Journal, TxState
from keeper.policy import Policy
from keeper.runner import Alone
from keeper.sending import Fees, Orders
from keeper.signer import signer_from_key
from keeper.snapshot import Address
from keeper.upkeep import Failures, Stage
from tests.integration.test_scripts_upkeep import (
    HOUR,
    LONG,
    SHORTS,
    USDC,
    deficit,
    expected_cuts,
    given_up,
    opened,
    read,
)
from tests.keeper_node import NIGHTLY, Desk, keeper_key
from tests.script_world import ETHER, deployed

pytestmark = [
    pytest.mark.node,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning"),
]
GWEI = 10**9


@pytest.fixture(scope="module")
def system(tmp_path_factory):
    with deployed("anvil", tmp_path_factory.mktemp("deployments")) as world:
        from scripts import calls

        owner = world.account(0)
        for index in (*SHORTS, *range(LONG, LONG + 4)):
            owner.transfer(world.account(index), "10 ether", silent=True)
            mint = world.at("Quote").mint
            calls.send(owner, mint, world.account(index), 2_000_000 * USDC, doing="the mint")
        yield world


@pytest.fixture
def world(system):
    with system.undone():
        yield system


class Log:
    def __init__(self):
        self.lines = []

    def info(self, event, **fields):
        self.lines.append({"event": event} | fields)

    warning = info


class Carer:
    """A caretaker over a journal that outlives it."""

    def __init__(self, world, folder, *names, live=True, **changes):
        self.world, self.folder, self.log = world, folder, Log()
        vault, lens = (Address(world.at(n).address.lower()) for n in ("HedgeVault", "VaultLens"))
        node = {"rpc_url": world.node.url, "chain_id": world.node.chain_id, "lens": lens}
        self.chain = Chain(Node(**node, head_max_age_secs=None), log=self.log)
        self.journal = Journal(folder / "j.sqlite", world.node.chain_id)
        self.signer = signer_from_key(keeper_key(), world.node.chain_id)
        fees = Fees(max_fee=100 * GWEI, priority_fee=GWEI, max_gas=9_000_000, gas_margin_bps=5_000)
        self.orders = Orders(
            vaults=(vault,), policy=Policy(), safety=Safety(), fees=fees, live=live,
            kill_file=folder / "stop", confirmations=1, receipt_wait_secs=5.0,
        )  # fmt: skip
        standard = {"names": frozenset(names), "safety": Safety(max_sends_an_hour=100)}
        self.caretaker = Caretaker(
            chain=self.chain, journal=self.journal, orders=self.orders,
            chores=Chores(**standard | changes), signer=self.signer, lease=Alone(), log=self.log,
        )  # fmt: skip

    def run(self, secs=60.0):
        return self.caretaker.run(Deadline(secs))

    def close(self):
        self.chain.close()
        self.journal.close()


@pytest.fixture
def carer(world, tmp_path):
    made = []

    def make(*names, **changes):
        made.append(Carer(world, tmp_path, *names, **changes))
        return made[-1]

    yield make
    for each in made:
        each.close()


def methods(rows):
    return [(tx.purpose, tx.state) for tx in rows]


def test_chores__cover_what_upkeep_may_ask_for():
    """A new call of `keeper.upkeep` must belong to one of them."""
    import inspect
    import re

    from keeper import upkeep

    source = inspect.getsource(upkeep)
    asked = set(re.findall(r'method="(\w+)"|_call\("(\w+)"|"(execute_\w+)"', source))
    names = {name for found in asked for name in found if name}
    assert names == frozenset().union(*CHORES.values()) - {"process"}


def test_liquidate__crash__each_once_the_worst_first(world, carer):
    margins = {LONG: 27_000, LONG + 1: 26_500, LONG + 2: 26_000, LONG + 3: 90_000}
    accounts = [opened(world, index, 100, quote) for index, quote in margins.items()]
    care = carer("liquidate")
    assert care.run() == []  # nobody is under maintenance
    world.refresh(2_300 * 10**8)
    sent = [tx for _ in range(3) for tx in care.run()]
    assert methods(sent) == [("liquidate", TxState.FINAL)] * 3
    worst_first = [str(accounts[i]).lower()[2:] for i in (2, 1, 0)]
    assert [tx.calldata.hex()[-40:] for tx in sent] == worst_first
    assert care.run() == []
    venue = world.at("PerpVenue")
    assert [abs(venue.account(each)[2]) < 100 * ETHER for each in accounts] == [True] * 3 + [False]
    assert care.journal.transactions() == sent
    for tx in sent:
        assert care.journal.steps(tx) == ["planned", "signed", "accepted", "mined", "final"]
        assert (tx.decision_row, tx.plan_nonce) == (None, None)
        assert tx.vault == tx.book == venue.address.lower()


def test_liquidate__not_asked_for_or_pays_too_little__left_to_others(world, carer):
    opened(world, LONG, 100, 26_000)
    world.refresh(2_300 * 10**8)
    assert carer("poke").run() is not None
    assert not any(tx.purpose == "liquidate" for tx in carer("poke").journal.transactions())
    assert carer("liquidate", least_reward=Decimal(10**9)).run() == []


@pytest.mark.parametrize("reason", ["dry run", "the kill switch is set", "gas in a day"])
def test_run__may_not_send__says_why_and_writes_no_row(world, carer, reason):
    opened(world, LONG, 100, 26_000)
    world.refresh(2_300 * 10**8)
    care = carer(
        "liquidate", live=reason != "dry run",
        safety=Safety(max_gas_a_day=0 if "gas" in reason else 10**9),
    )  # fmt: skip
    if "kill" in reason:
        care.orders.kill_file.touch()
    assert care.run() == []
    (line,) = [line for line in care.log.lines if line["event"] == "upkeep"]
    assert reason in line["because"]
    assert care.journal.transactions() == []


def test_spent__upkeep_and_hedge__have_budgets_of_their_own(world, carer):
    """Liquidations that others got first must not stop the hedge."""
    opened(world, LONG, 100, 26_000)
    world.refresh(2_300 * 10**8)
    care = carer("liquidate")
    (tx,) = care.run()
    at = tx.planned_at + 1
    assert care.journal.spent(at, upkeep=True).sends_last_hour == 1
    assert care.journal.spent(at, upkeep=True).gas_last_day == tx.gas_used
    assert care.journal.spent(at).sends_last_hour == 0
    assert care.journal.spent(at).gas_last_day == 0


def test_deleverage__list_in_chunks__followed_up_in_one_run(world, carer):
    """Four accounts in chunks of three: stand still, list twice, cut twice."""
    deficit(world)
    care = carer("liquidate", "deleverage", chunk=3)
    sent = care.run()
    assert methods(sent) == [("liquidate", TxState.FINAL)]
    began, expected = time.monotonic(), expected_cuts(read(world))
    sent = care.run()
    took = time.monotonic() - began
    assert methods(sent) == [("deleverage", TxState.FINAL)] * 5
    assert took < 600
    after = read(world)
    assert (after.stage, after.running, after.failed_longs) == (Stage.OPEN, None, Failures())
    assert sum(expected.values()) > 0
    assert care.run() == []
    print(f"\nfive calls of deleveraging in {took:.1f} s")


@pytest.mark.parametrize("calls", [1, pytest.param(2, marks=NIGHTLY), 3])
def test_deleverage__stopped_in_the_middle__the_next_keeper_goes_on(world, carer, calls):
    deficit(world)
    carer("liquidate").run()
    care = carer("deleverage", chunk=3)
    for _ in range(calls):
        care.caretaker._next(Deadline(30.0))
    before = read(world)
    assert before.stage == Stage.BATCH
    sent = carer("deleverage", chunk=3).run()
    assert len(sent) == 5 - calls
    after = read(world)
    assert (after.stage, after.failed_longs) == (Stage.OPEN, Failures())
    if calls <= 2:
        assert given_up(before, after)


def test_run__answer_to_the_send_is_lost__done_once(world, carer):
    opened(world, LONG, 100, 26_000)
    world.refresh(2_300 * 10**8)
    care = carer("liquidate")
    send = care.chain.send

    def lose(signed):
        send(signed)
        raise ChainUnavailable("the answer is lost")

    care.chain.send = lose
    with pytest.raises(ChainUnavailable):
        care.run()
    assert care.journal.in_flight()[0].state is TxState.SIGNED
    again = carer("liquidate")
    assert again.run() == []
    assert methods(again.journal.transactions()) == [("liquidate", TxState.FINAL)]


def test_poke__silent_venue__funding_is_accrued(world, carer):
    opened(world, LONG, 100, 40_000)
    world.pass_time(HOUR)
    sent = carer("poke").run()
    assert methods(sent) == [("accrue", TxState.FINAL)]
    assert read(world).accrued_at >= sent[0].planned_at


@contextmanager
def started(desk):
    with desk.started("run", "--live") as process:
        yield process
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert process.returncode == 0


def test_process__request_that_is_due__filled_by_a_keeper_that_hedges(world, tmp_path):
    from scripts import redeem
    from scripts.deposit import deposit

    depositor = world.account(5)
    deposit(world.deployment, depositor, 50 * ETHER)
    redeem.request(world.deployment, depositor, 10 ** int(world.at("HedgeVault").decimals()))
    world.pass_time(HOUR + 60)
    world.refresh()
    desk = Desk(world, tmp_path)
    desk.write(
        world.node.url,
        more="[jobs]\ntick_secs = 0.5\nmargin_watch_secs = 5\n"
        '[upkeep]\ndo = ["process"]\nevery_secs = 0.5\ndeadline_secs = 20\n',
    )
    queue = world.at("RedemptionQueue")
    with started(desk):
        ends = time.monotonic() + 60
        while int(queue.pending_shares()) and time.monotonic() < ends:
            time.sleep(0.2)
    assert int(queue.claim_of(depositor)) > ETHER // 2
    with closing(Journal(desk.journal, world.node.chain_id)) as journal:
        rows = journal.transactions()
    done = {tx.purpose for tx in rows if tx.state is TxState.FINAL}
    assert done >= {"process", "rebalance"}
    assert sum(tx.purpose == "process" for tx in rows) == 1
