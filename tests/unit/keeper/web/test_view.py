# SPDX-License-Identifier: MIT
"""From numbers to what a page shows."""

from __future__ import annotations

from dataclasses import replace

import pytest

from keeper.audit import Round
from keeper.events import Event, Log
from keeper.exits import Exits, Terms
from keeper.journal import TxState
from keeper.journal_pages import DecisionHead
from keeper.proposals import Owner, Proposal
from keeper.risk import assess
from keeper.snapshot import ZERO_ADDRESS
from keeper.units import BPS
from keeper.upkeep import Account, Stage
from keeper.web.histories import thinned
from keeper.web.seen import Held, Holding, Noticed, Request, Seen, Source
from keeper.web.view.charts import charts, columns, point_of, table
from keeper.web.view.decisions import decision_lines
from keeper.web.view.depositor import basis_of, has_anything, position
from keeper.web.view.frame import status
from keeper.web.view.health import own_words
from keeper.web.view.overview import gauge, overview
from keeper.web.view.vault import vault_page
from keeper.web.view.venue import accounts_part
from keeper.words import Level, moment, tokens_of
from tests.dashboard_world import EXIT, many, state_of
from tests.keeper_world import BOOK, ETHER, NOW, VAULT, address, snapshot_of
from tests.upkeep_world import venue as venue_read

OWNER, QUEUE, OTHER = address(77), address(78), address(79)
DAY = 86_400


def held(state):
    return Held(snapshot=state, risk=assess(state.vault))


def seen(*states, **fields):
    vaults = {state.vault.vault: held(state) for state in states}
    block = states[0].block if states else None
    standard = {"chain_fault": "", "source": Source.CHAIN, "now": NOW, "vaults": vaults}
    return Seen(**(standard | {"block": block} | fields))


def event(contract, name, **fields):
    log = Log(address=VAULT, topics=(), data=b"", block=1, index=0, tx_hash="0x")
    return Event(contract=contract, name=name, fields=fields, log=log)


def flow(account, assets, shares, price=2_000):
    return event(
        "HedgeVault", "FlowPriced",
        account=account, assets=assets, shares=shares, price_wad=price * ETHER,
    )  # fmt: skip


def transfer(sender, receiver, value):
    return event("HedgeVault", "Transfer", sender=sender, receiver=receiver, value=value)


def test_status__each_source__says_how_fresh():
    state = state_of()
    assert status(seen(state), 0.0).word == "Live"
    out = seen(state, chain_fault="no answer", looked_at=100.0)
    said = status(out, 160.0)
    assert (said.level, said.word) == (Level.ACT, "Chain not readable")
    assert said.notices[0].words.endswith("Shown is what was read 60 s ago.")
    assert status(replace(out, source=Source.JOURNAL), 0.0).word == "From the journal"
    assert status(Seen(), 0.0).word == "Nothing known"


def test_status__no_look_for_too_long__late():
    fresh = seen(state_of(), looked_at=100.0, due_secs=30.0)
    assert status(fresh, 130.0).word == "Live"
    late = status(fresh, 131.0)
    assert (late.level, late.word) == (Level.WATCH, "Late")
    assert "The last look was 31 s ago" in late.notices[0].words


def test_overview__sorts_by_urgency_and_adds_in_one_token_only():
    page = overview(seen(*many(6)))
    assert [row.level for row in page.vaults] == [Level.ACT, Level.WATCH] + 4 * [Level.GOOD]
    assert {fact.name: fact.value for fact in page.facts}["Vaults in order"] == "4 of 6"
    # 98 assets at 2,000 each less what the shorts have: equity is the same in all six
    total = sum(assess(state.vault).nav for state in many(6)) / 10**6
    assert page.facts[0].value == f"{total:,.2f} quote"
    other = replace(many(2)[1].vault, quote=address(999))
    two = overview(seen(many(2)[0], replace(many(2)[1], vault=other)))
    assert [fact.name for fact in two.facts].count("Net asset value") == 2


def test_gauge__beyond_its_ends__stands_at_the_end():
    vault = state_of().vault  # inner 1 %, urgent 10 %: the gauge reaches 15 % to each side
    assert gauge(vault, None, 0) is None
    assert gauge(vault, 0, 0).exposure == 50
    assert gauge(vault, 9_999, 0).exposure == 100
    assert gauge(vault, -9_999, 0).exposure == 0
    middle = gauge(vault, 750, 0)
    assert middle.exposure == 75
    assert (middle.urgent_from, middle.urgent_width) == (16.67, 66.66)
    assert "exposure 7.50 %" in middle.words


def head(row, kind="hold", reason="drift 3 bps is inside the band", objection=None):
    return DecisionHead(
        id=row, job="tick", vault=VAULT, decision_id="ab", kind=kind, reason=reason,
        objection=objection, block_number=row, block_at=NOW,
    )  # fmt: skip


def test_decision_lines__equal_calm_ones_in_a_row__are_one():
    lines = decision_lines(
        [head(5), head(4, reason="drift 4 bps is inside the band"), head(3, "rebalance"), head(2)],
        [],
    )
    assert [(line.row, line.repeats, line.last) for line in lines] == [
        (5, 2, 4),
        (3, 1, 3),
        (2, 1, 2),
    ]
    assert lines[1].outcome == "dry run: not sent"


def test_decision_lines__two_plans_of_one_reason__stay_two():
    lines = decision_lines([head(2, "rebalance", "drift"), head(1, "rebalance", "drift")], [])
    assert len(lines) == 2


def test_decision_lines__objection__is_told():
    line = decision_lines([head(1, "rebalance", "drift", "the kill switch is set")], [])[0]
    assert (line.level, line.outcome) == (Level.WATCH, "not sent: the kill switch is set")


def test_basis__deposits_exits_and_transfers__average_cost():
    vault = state_of().vault
    events = [
        transfer(ZERO_ADDRESS, OWNER, 100),
        flow(OWNER, 10 * ETHER, 100, 2_000),  # 20,000 quote
        flow(OTHER, 50 * ETHER, 500, 2_000),  # somebody else's
        flow(OWNER, 10 * ETHER, 100, 1_000),  # 10,000 quote
        flow(OWNER, -5 * ETHER, -50),  # a quarter leaves
        transfer(OWNER, QUEUE, 50),  # into the queue: still his
        event("RedemptionQueue", "RedemptionFilled", owner=OWNER, shares=50),  # a third leaves
    ]
    basis = basis_of(OWNER, QUEUE, events, vault)
    assert (basis.shares, basis.gifted) == (100, 0)
    assert (basis.assets, basis.quote) == (10 * ETHER, 15_000 * 10**6)


def test_basis__shares_by_transfer__have_no_known_cost():
    basis = basis_of(OWNER, QUEUE, [transfer(OTHER, OWNER, 40)], state_of().vault)
    assert (basis.shares, basis.gifted, basis.quote) == (40, 40, 0)
    gone = basis_of(
        OWNER, QUEUE, [transfer(OTHER, OWNER, 40), transfer(OWNER, OTHER, 40)], state_of().vault
    )
    assert (gone.shares, gone.gifted) == (0, 0)


def holding(**fields):
    standard = {
        "owner": OWNER, "queue": QUEUE, "shares": 10**20, "worth_assets": 97 * ETHER,
        "exit_assets": 96 * ETHER, "max_withdraw": 70 * ETHER, "claim_assets": 0,
        "requests": (), "requests_in_all": 0, "events": (flow(OWNER, 98 * ETHER, 10**20, 1_000),),
    }  # fmt: skip
    return Holding(**(standard | fields))


def test_position__says_worth_cost_and_what_leaving_brings():
    state = state_of()
    symbols = {state.vault.asset: "tETH", state.vault.quote: "tUSDC"}
    found = position(seen(state, symbols=symbols), held(state), holding())
    facts = {fact.name: fact for fact in (*found.facts, *found.exits)}
    assert facts["Cost"].value == "98,000.00 tUSDC"  # 98 at 1,000
    assert facts["If simply held"].value == "+98,000.00 tUSDC"  # now at 2,000
    assert facts["Shares"].note == "100.00 % of the vault"
    assert facts["Value when leaving"].note == "after a charge of 1.0000 tETH (1.03 %)"
    # 63 idle, so 7 of the 70 come from margin
    assert facts["Payable at once"].note == "63.0000 tETH from idle, 7.0000 tETH from margin"


def test_position__half_came_by_transfer__change_is_of_what_was_paid_for():
    state, half = state_of(), state_of().vault.total_supply // 2
    events = (flow(OWNER, 49 * ETHER, half, 2_000), transfer(OTHER, OWNER, half))
    found = position(seen(state), held(state), holding(shares=2 * half, events=events))
    facts = {fact.name: fact for fact in found.facts}
    assert facts["Received"].note.startswith("came by transfer")
    assert facts["Cost"].value == "98,000.00 quote"
    gain = float(facts["Change"].value.split()[0].replace(",", ""))
    assert abs(gain) < 1  # 49 bought at 2,000 are worth as much; the 49 that came are no gain
    assert facts["Change"].note.endswith("of what was paid for")


def test_position__in_the_queue__says_who_is_before_it():
    state = state_of()
    ahead, mine = (
        Request(
            number=number, owner=owner, shares=10**18, min_assets=0,
            due_at=NOW + 90, cancel_at=NOW + 1_000,
        )
        for number, owner in ((3, OTHER), (4, OWNER))
    )  # fmt: skip
    found = position(seen(state), held(state), holding(requests=(ahead, mine)))
    (waiting,) = found.waiting
    assert waiting.place == "1 before it, 0.001000 shares"
    assert waiting.when.startswith("due in 90 s; may be cancelled from 2024-08-01")


def test_position__vault_cannot_price__says_so():
    state = state_of()
    found = position(seen(state), held(state), holding(exit_assets=None))
    assert found.exits[0].value == "cannot be priced now"


def leaving(**fields):
    """Return what is noticed of exits that were announced long enough ago, and no price since."""
    terms = Terms(address=EXIT, delay_secs=3 * DAY, patience_secs=DAY)
    standard = {"terms": terms, "announced_at": NOW - 4 * DAY, "closes_at": NOW + 29 * DAY}
    return Noticed(exits={VAULT: Exits(**(standard | fields))})


def test_position__leaving_in_kind_is_open__says_what_it_would_pay():
    vault = replace(state_of().vault, price_ok=False, price_reason="oracle: asset feed zero")
    vault = replace(vault, state=replace(vault.state, last_price_at=NOW - 5 * DAY))
    state = snapshot_of(vault, at=NOW)
    shares = vault.total_supply // 2
    open_now = seen(state, noticed=leaving())
    facts = {f.name: f for f in position(open_now, held(state), holding(shares=shares)).exits}
    assert facts["In kind"].value.startswith("31.5000 asset and ")  # half of 63 that are idle
    too_early = seen(state, noticed=leaving(announced_at=NOW - DAY))
    names = [f.name for f in position(too_early, held(state), holding(shares=shares)).exits]
    assert "In kind" not in names


def test_shares__some_left_in_kind__worth_what_a_settlement_would_leave():
    """What is at the venues is shared by all, what is idle only by those who stayed."""
    state, supply = state_of(), state_of().vault.total_supply
    half, quarter = leaving(hollow=supply // 2), holding(shares=supply // 4)
    worth = {
        noticed: {f.name: f for f in position(each, held(state), quarter).facts}["Worth"].note
        for noticed, each in (("half left", seen(state, noticed=half)), ("none", seen(state)))
    }
    # Of 98 in all 63 are idle; leavers pay the base charge on as much as was idle for them.
    base = state.vault.base_charge_bps / BPS
    left = 35 / 2 - min(35 / 2, base * 63)
    assert float(worth["half left"].split()[0]) == pytest.approx((98 - left) / 2, rel=0.01)
    assert float(worth["none"].split()[0]) == pytest.approx(98 / 4, rel=0.01)


def test_vault__some_left_in_kind__nobody_is_told_to_hedge_before_it_is_settled():
    state = state_of(drift=20)
    assert "must hedge at once" in overview(seen(state)).vaults[0].remark
    waits = seen(state, noticed=leaving(hollow=10**21))
    assert "nothing else goes on before somebody settles" in overview(waits).vaults[0].remark
    assert not any("must hedge" in said.words for said in vault_page(waits, held(state)).remarks)


def test_position__claims__each_round_with_what_it_is_good_for():
    state, supply = state_of(), state_of().vault.total_supply
    noticed = leaving(
        round=1,
        rounds={0: Round(claims=200, shares=supply // 4)},
        claims={(0, OWNER): 100, (1, OWNER): 7, (1, OTHER): 9},
    )
    found = position(seen(state, noticed=noticed), held(state), holding())
    assert [line.round for line in found.claims] == [0, 1]
    assert found.claims[0].state.startswith("good for ")
    eighth = assess(state.vault).equity // 8
    assert found.claims[0].worth == tokens_of(state.vault).assets(eighth)
    assert (found.claims[1].state, found.claims[1].worth) == (
        "not settled yet", "known when settled",
    )  # fmt: skip


def test_has_anything__claims_alone__are_something():
    state = state_of()
    nothing = holding(shares=0)
    assert not has_anything(seen(state), state.vault, nothing)
    noticed = leaving(claims={(0, OWNER): 1})
    assert has_anything(seen(state, noticed=noticed), state.vault, nothing)
    assert not has_anything(
        seen(state, noticed=leaving(claims={(0, OTHER): 1})), state.vault, nothing
    )


def proposal(target, due_at=NOW + 60):
    return Proposal(
        id="0x" + "ab" * 32, target=target, means="change who may rebalance",
        call="HedgeBook.set_keeper(keeper 0x00)", after="", due_at=due_at, expires_at=due_at + DAY,
    )  # fmt: skip


def owned(state, *proposals):
    owner = state.vault.owner
    found = Owner(address=owner, delay_secs=2 * DAY, proposals=proposals)
    return Noticed(owners={owner: found}, whose={VAULT: VAULT, BOOK: VAULT})


def test_overview__something_is_proposed__in_the_vaults_row():
    state = state_of()
    row = overview(seen(state, noticed=owned(state, proposal(BOOK)))).vaults[0]
    assert row.level is Level.WATCH
    assert row.remark == (
        f"Proposed to the owner: change who may rebalance; it may be executed from "
        f"{moment(NOW + 60)}."
    )
    dead = owned(state, proposal(BOOK, due_at=NOW - 2 * DAY))
    assert overview(seen(state, noticed=dead)).vaults[0].level is Level.GOOD


def test_vault_page__proposal_for_another_vault_of_the_owner__not_told_here():
    mine, other = state_of(), many(1)[0]
    other = snapshot_of(replace(other.vault, book=address(500)), at=NOW)
    noticed = owned(mine, proposal(address(500)), proposal(other.vault.vault), proposal(OTHER))
    book, vault = other.vault.book, other.vault.vault
    noticed = replace(noticed, whose={**noticed.whose, book: vault, vault: vault})
    both = seen(mine, other, noticed=noticed)
    assert len(vault_page(both, held(mine)).proposals) == 1
    assert len(vault_page(both, both.vaults[other.vault.vault]).proposals) == 3


def test_vault_page__owner_without_timelock__acts_at_once():
    state = state_of()
    owner = state.vault.owner
    page = vault_page(
        seen(state, noticed=Noticed(owners={owner: Owner(address=owner)})), held(state)
    )
    assert "may act at once" in page.owner[0].note
    assert not page.has_timelock


def test_accounts__riskiest_first_and_the_vaults_own_named():
    state = state_of()
    margin = state.vault.venues[0].margin
    rich = Account(owner=BOOK, margin=margin)
    poor = Account(
        owner=OTHER, margin=replace(margin, equity=margin.maintenance - 1), liquidatable=True
    )
    read = replace(venue_read(), accounts=(rich, poor), stage=Stage.GATED)
    part = accounts_part(read, {BOOK: "vault"}, tokens_of(state.vault))
    assert [line.owner for line in part.lines] == [OTHER, BOOK]
    assert [line.state for line in part.lines] == ["may be liquidated now", "healthy"]
    assert (part.lines[1].who, part.risky) == ("vault", 1)
    assert part.notes[0].level is Level.WATCH


def test_own_words__keeper_not_ready__all_of_it():
    said = own_words(
        {"late": {"tick": "hung"}},
        {"ready": False, "why": ["no head"], "kill_switch": True, "mode": "dry run"},
    )
    words = " ".join(remark.words for remark in said)
    for part in ("not ready: no head", "tick: hung", "kill switch is set", "dry run"):
        assert part in words


def test_charts__columns_and_tables_agree():
    states = [state_of(100 + i, drift=i % 3) for i in range(5)]
    points = [point_of(state, assess(state.vault)) for state in states]
    drawn = charts(points, tokens_of(states[0].vault))
    shown = columns(points, drawn)
    assert shown["times"] == [NOW + 15 * i for i in range(5)]
    assert all(len(line["values"]) == 5 for chart in shown["charts"] for line in chart["lines"])
    value = shown["charts"][0]["lines"]
    assert value[0]["values"][0] == value[1]["values"][0]  # hedged and unhedged begin together
    assert set(table(points, drawn)) == {chart.name for chart in drawn}


def test_charts__fewer_than_two_points__none():
    state = state_of()
    assert charts([point_of(state, assess(state.vault))], tokens_of(state.vault)) == []
    empty = replace(state.vault, total_supply=0)
    assert point_of(replace(state, vault=empty), assess(empty)).share is None


@pytest.mark.parametrize("count", [0, 1, 400, 401, 10_000])
def test_thinned__at_most_about_so_many_and_the_last_always(count):
    numbers = list(range(count))
    chosen = thinned(numbers, 400)
    assert len(chosen) <= 401
    assert chosen[-1:] == numbers[-1:]
    assert chosen[:1] == numbers[:1]


def test_states__all_have_words():
    from keeper.web.view.decision import STEP_WORDS
    from keeper.web.view.decisions import STATE_WORDS

    assert set(STATE_WORDS) == set(TxState) == set(STEP_WORDS)
