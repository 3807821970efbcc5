# SPDX-License-Identifier: MIT
"""`brownie run govern`: what the owner is asked to do, proposed, listed, executed, cancelled."""

from __future__ import annotations

import pytest

from tests.script_world import DAY_SECS, deployed, noticed, replayed, spoken

pytestmark = [
    pytest.mark.node,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning"),
]

KEEPER = "0x90F79bf6EB2c4f870365E785982E1f101E93b906"
DUE = 2 * DAY_SECS


@pytest.fixture(scope="module", params=["anvil", "ganache"])
def system(request, tmp_path_factory):
    with deployed(request.param, tmp_path_factory.mktemp("deployments")) as world:
        yield world


@pytest.fixture
def world(system):
    """The deployed system; what a test does to the chain is undone."""
    with system.undone():
        yield system


@pytest.fixture
def govern(world, monkeypatch):
    """The script on this deployment."""
    from scripts import govern

    monkeypatch.setattr(govern, "current", lambda: world.deployment)
    return spoken("govern")


def test_govern__from_proposal_to_execution__in_words(world, govern, capsys):
    said, complaint = govern
    assert "waiting      nothing" in said(capsys)
    text = said(capsys, "HedgeBook", "set_keeper", KEEPER, action="propose")
    assert f"HedgeBook.set_keeper(keeper {KEEPER})" in text
    id_ = text.rpartition("execute ")[2].strip()
    listed = said(capsys)
    assert f"HedgeBook.set_keeper(keeper {KEEPER})" in listed
    assert f"proposed by {world.account(0)}" in listed
    assert "change who may rebalance:" in listed
    assert "a timelock of 2 days" in listed
    assert "may be executed from 20" in complaint(capsys, id_, action="execute")
    assert world.at("HedgeBook").keeper() == world.account(1)
    world.pass_time(DUE)
    assert "may be executed until 20" in said(capsys)
    assert "Done." in said(capsys, id_, "depositor", action="execute")
    assert world.at("HedgeBook").keeper() == KEEPER
    assert "nothing waits" in complaint(capsys, id_, action="execute")
    assert "waiting      nothing" in said(capsys)


def test_govern__record__only_what_changes_is_named(world, govern, capsys):
    said, _ = govern
    words = "slippage_bps=0.5%,cooldown_secs=900"
    text = said(capsys, "HedgeBook", "set_limits", words, action="propose")
    assert "set_limits(slippage_bps 0.75 % -> 0.50 %; cooldown_secs 600 -> 900)" in text
    before = world.at("HedgeBook").limits().dict()
    world.pass_time(DUE)
    said(capsys, action="execute")
    changes = {"slippage_bps": 50, "cooldown_secs": 900}
    assert world.at("HedgeBook").limits().dict() == dict(before) | changes


def test_govern__what_the_dashboard_reads__is_what_the_script_lists(world, govern, capsys):
    from scripts import timelock

    said, _ = govern
    said(capsys, "HedgeBook", "set_limits", "slippage_bps=0.5%", action="propose")
    said(capsys, "HedgeVault", "set_base_charge", "79", action="propose")
    gone = said(capsys, "HedgeBook", "set_keeper", KEEPER, action="propose")
    said(capsys, gone.rpartition("execute ")[2].strip(), action="cancel")
    vault, found = noticed(world)
    owner = found.owners[vault.owner]
    lock = world.at("Timelock")
    assert owner.delay_secs == int(lock.get_minimum_delay())
    assert (owner.proposer, owner.guardian) == (
        str(lock.proposer()).lower(), str(lock.guardian()).lower(),
    )  # fmt: skip
    listed = timelock.pending(world.deployment)
    assert [
        (each.id, each.call, each.due_at, each.expires_at) for each in owner.proposals
    ] == [
        ("0x" + each.id.hex(), timelock.describe(world.deployment, each.call),
         each.due_at, each.expires_at)
        for each in listed
    ]  # fmt: skip


def test_govern__cancel__proposer_and_guardian_only(world, govern, capsys):
    said, complaint = govern
    said(capsys, "HedgeBook", "set_keeper", KEEPER, action="propose")
    assert "only proposer 0x" in complaint(capsys, "depositor", action="cancel")
    assert "Cancelled." in said(capsys, "guardian", action="cancel")
    assert "waiting      nothing" in said(capsys)
    said(capsys, "HedgeBook", "set_keeper", KEEPER, action="propose")  # as if it had never been
    assert "Cancelled." in said(capsys, action="cancel")


def test_govern__order__kept_and_told(world, govern, capsys):
    said, complaint = govern
    first = said(capsys, "HedgeVault", "set_base_charge", "79", action="propose")
    first = first.rpartition("execute ")[2].strip()
    words = ("HedgeBook", "set_hedge_ratio", "105%", f"after={first}")
    second = said(capsys, *words, action="propose").rpartition("execute ")[2].strip()
    assert f"only after {first}" in said(capsys)
    world.pass_time(DUE)
    assert "missing dependency" in complaint(capsys, second, action="execute")
    assert "2 proposals wait: say which" in complaint(capsys, action="execute")
    said(capsys, first, action="execute")
    said(capsys, second, action="execute")
    assert world.at("HedgeBook").hedge_ratio_bps() == 10_500


def test_govern__delay__to_itself_and_never_under_the_floor(world, govern, capsys):
    said, complaint = govern
    text = said(capsys, "Timelock", "update_delay", str(3 * DAY_SECS), action="propose")
    assert "Timelock.update_delay(delay_secs 3 days)" in text
    said(capsys, "Timelock", "update_delay", "3600", "anyway", action="propose")
    world.pass_time(DUE)
    longer, shorter = proposals(world)
    assert "delay out of range" in complaint(capsys, shorter, action="execute")
    said(capsys, longer, action="execute")
    assert world.at("Timelock").get_minimum_delay() == 3 * DAY_SECS


def proposals(world):
    """Return the ids of the two calls of the last test, the larger delay first."""
    from scripts import timelock

    waits = sorted(timelock.pending(world.deployment), key=lambda each: each.call.payload)
    return ["0x" + each.id.hex() for each in reversed(waits)]


def test_govern__expired__said_and_cleared(world, govern, capsys):
    said, complaint = govern
    said(capsys, "HedgeBook", "set_keeper", KEEPER, action="propose")
    world.pass_time(DUE + 7 * DAY_SECS + 60)
    assert "expired at 20" in complaint(capsys, action="execute")
    again = complaint(capsys, "HedgeBook", "set_keeper", KEEPER, action="propose")
    assert "this is proposed already, and expired at" in again
    said(capsys, action="cancel")
    said(capsys, "HedgeBook", "set_keeper", KEEPER, action="propose")


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ((), "say what"),
        (("HedgeBook",), "say what"),
        (("PriceOracle", "read"), "the timelock does not own 'PriceOracle', only InsuranceFund"),
        (("HedgeBook", "set_oracle", KEEPER), "HedgeBook has no call 'set_oracle'; its setters"),
        (("HedgeBook", "limits"), "HedgeBook has no call 'limits'"),
        (("HedgeBook", "set_keeper"), "takes keeper (address); given were 0 words"),
        (("HedgeBook", "set_keeper", "bob"), "'bob' is neither an address nor a contract"),
        (("HedgeBook", "set_hedge_ratio", "-1"), "'-1' is not a share"),
        (("HedgeBook", "set_hedge_ratio", "20%"), "book: "),
        (("HedgeBook", "set_keeper", KEEPER, "guardian"), "only the proposer 0x"),
        (("HedgeBook", "set_limits", "speed=1"), "changes nothing: write name=value of inner"),
        (("HedgeBook", "set_limits", "cooldown_secs"), "changes nothing"),
        (("HedgeBook", "set_limits", "max_trade=1.5"), "'1.5' is not a whole number"),
        (("HedgeBook", "rebalance", "x"), "rebalance cannot be proposed by this script"),
        (("HedgeBook", "set_keeper", KEEPER, "after=0x00"), "nothing waits"),
        (("Timelock", "update_delay", "3600"), "timelock: delay out of range"),
        (("HedgeBook", "set_vault", "HedgeVault"), "book: vault is set"),
    ],
)
def test_govern_propose__nonsense__one_clear_line_and_nothing_sent(
    world, govern, capsys, words, why
):
    from scripts import timelock

    _, complaint = govern
    assert why in complaint(capsys, *words, action="propose")
    assert timelock.pending(world.deployment) == []


def test_govern__unknown_id_or_two__refused(world, govern, capsys):
    said, complaint = govern
    said(capsys, "HedgeBook", "set_keeper", KEEPER, action="propose")
    assert "no proposal that waits begins with 0xzz" in complaint(capsys, "0xzz", action="cancel")
    assert "name one proposal" in complaint(capsys, "0x1", "0x2", action="cancel")


def test_describe__call_of_a_stranger__shown_raw(world):
    from scripts import timelock

    here = world.deployment
    strange = timelock.Call(target=str(world.account(9)), payload=b"\x01\x02\x03\x04")
    assert timelock.describe(here, strange) == f"{world.account(9)}: data 0x01020304"
    book = here["HedgeBook"].address
    unknown = timelock.Call(target=book, payload=b"\x01\x02\x03\x04")
    assert timelock.describe(here, unknown) == "HedgeBook: data 0x01020304"
    whole = timelock.call_of(here, "HedgeBook", "set_keeper", KEEPER)
    broken = timelock.Call(target=book, payload=whole.payload[:20])
    assert timelock.describe(here, broken) == f"HedgeBook: data 0x{whole.payload[:20].hex()}"


def test_audit__after_the_owner_was_used__is_proven(world, govern, capsys):
    said, _ = govern
    words = ("HedgeBook", "set_keeper", KEEPER)
    said(capsys, *words, action="propose")
    world.pass_time(DUE)
    said(capsys, action="execute")
    said(capsys, "Timelock", "update_delay", str(3 * DAY_SECS), action="propose")
    said(capsys, action="cancel")
    said(capsys, "HedgeBook", "set_keeper", KEEPER, action="propose")
    verdict = replayed(world)
    assert verdict.faults == ()
    assert verdict.ledger.owner_words().endswith("1 executed, 1 cancelled, 1 waiting")
    assert set(verdict.ledger.owners.values()) == {world.deployment["Timelock"].address.lower()}


def test_status__owner__with_what_waits(world, govern, capsys, monkeypatch):
    from scripts import status

    said, _ = govern
    said(capsys, "HedgeBook", "set_keeper", KEEPER, action="propose")
    monkeypatch.setattr(status, "current", lambda: world.deployment)
    text = spoken("status")[0](capsys)
    assert f"Owner          {world.deployment['Timelock'].address}, a timelock of 2 days" in text
    assert f"proposer     {world.account(0)}, guardian {world.account(2)}" in text
    call = f"HedgeBook.set_keeper(keeper {KEEPER})"
    assert f"waiting      change who may rebalance: {call}, may be executed from" in text
    assert "Without price  not in kind: there is a good price" in text
