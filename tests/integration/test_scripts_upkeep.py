# SPDX-License-Identifier: MIT
"""What anybody may do for the venue, through the script's functions, and as a person does."""

from __future__ import annotations

import pytest

from keeper.curve import maintenance_up
from keeper.deleveraging import check, deleverage
from keeper.upkeep import Care, Cause, Failures, Stage
from tests.script_world import DAY_SECS, ETHER, deployed, spoken

heard, told = spoken("upkeep")
pytestmark = [
    pytest.mark.node,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning"),
]

KEEPER, PROVIDER, HOUR, USDC = 1, 3, 3_600, 10**6
LONG = 20
SHORTS = {10: (100, 100_000), 11: (200, 900_000), 12: (300, 150_000), 13: (250, 500_000)}

# What depends on no node's ways; Ganache takes five times as long.
on_anvil = pytest.mark.parametrize("system", ["anvil"], indirect=True)


@pytest.fixture(scope="module", params=["anvil", "ganache"])
def system(request, tmp_path_factory):
    with deployed(request.param, tmp_path_factory.mktemp("deployments")) as world:
        from scripts import calls

        owner = world.account(0)
        for index in (*SHORTS, *range(LONG, LONG + 4)):
            account = world.account(index)
            owner.transfer(account, "10 ether", silent=True)
            mint = world.at("Quote").mint
            calls.send(owner, mint, account, 2_000_000 * USDC, doing="the mint")
        yield world


@pytest.fixture
def world(system, monkeypatch):
    """The deployed system, where `main` finds it; what a test does to the chain is undone."""
    from scripts import deployments

    monkeypatch.setattr(deployments, "read", lambda chain_id: system.deployment)
    with system.undone():
        yield system


def opened(world, index, size, quote):
    """Let an account hold `size` whole assets on `quote` whole tokens of margin."""
    from scripts import trade

    account = world.account(index)
    trade.deposit(world.deployment, account, "quote", quote * USDC)
    offer = trade.quote(world.deployment, account, size * ETHER, 2**200 if size > 0 else 0)
    trade.trade(world.deployment, account, offer)
    return account


def read(world):
    from scripts import upkeep

    return upkeep.venue_now(world.deployment)


def said(capsys, action, *words):
    return heard(capsys, *words, action=action)


def complaint(capsys, action, *words):
    return told(capsys, *words, action=action)


def deficit(world):
    """
    Leave a loss that the fund cannot bear: a long of 800 on 220,000 after a fall by half.

    It fails by about 1,000,000 - 220,000, of which the fund has 500,000.
    """
    for index, (size, quote) in SHORTS.items():
        opened(world, index, -size, quote)
    long = opened(world, LONG, 800, 230_000)
    world.refresh(1_250 * 10**8)
    return long


def test_read__a_quiet_venue__nothing_but_the_seeding(world, capsys):
    venue = read(world)
    assert (venue.stage, venue.accounts, venue.running) == (Stage.OPEN, (), None)
    assert venue.price_wad == 2_500 * ETHER
    assert venue.market.pool_equity == 20_000_000 * USDC
    out = said(capsys, "main")
    assert "Venue       open" in out
    assert "Pool        equity 20,000,000 tUSDC against accounts of 0 tETH net" in out


def test_liquidate__crash__all_that_failed_and_nobody_else(world, capsys):
    """10 % of margin; a fall of 8 % leaves three of four under maintenance."""
    margins = {LONG: 27_000, LONG + 1: 26_500, LONG + 2: 26_000, LONG + 3: 90_000}
    accounts = [opened(world, index, 100, quote) for index, quote in margins.items()]
    venue = world.at("PerpVenue")
    assert "no account is under maintenance margin" in complaint(capsys, "liquidate")
    world.refresh(2_300 * 10**8)
    out = said(capsys, "status")
    assert out.count("failing   0x") == 3
    order = [str(accounts[i]).lower() for i in (2, 1, 0)]
    listed = [line.split()[1].rstrip(":") for line in out.splitlines() if "  liquidate 0x" in line]
    assert listed == order

    assert f"{accounts[1]} is not an address" not in said(capsys, "liquidate", str(accounts[1]))
    assert abs(venue.account(accounts[1])[2]) < 100 * ETHER
    assert venue.account(accounts[0])[2] == 100 * ETHER
    assert "Done: liquidate 2 x." in said(capsys, "liquidate")
    assert [abs(venue.account(each)[2]) < 100 * ETHER for each in accounts] == [True] * 3 + [False]
    assert venue.margin(world.account(KEEPER), 2_300 * ETHER)[1] > 0
    assert not any(each.liquidatable for each in read(world).accounts)
    assert "has no account that is under" in complaint(capsys, "liquidate", str(accounts[3]))


@on_anvil
def test_liquidate__more_than_the_pace__the_worst_first_and_the_rest_is_named(world, capsys):
    """500 in ten minutes: the last is refused, not lost."""
    for index, quote in ((LONG, 120_000), (LONG + 1, 119_000), (LONG + 2, 118_000)):
        opened(world, index, 400, quote)
    world.refresh(2_240 * 10**8)
    out = said(capsys, "liquidate")
    assert "Done: liquidate 2 x." in out
    assert "venue: liquidations are paced" in out or "paced" in out
    world.pass_time(600)
    assert "Done: liquidate" in said(capsys, "liquidate")


def test_liquidate__debt_on_asset_margin__settled(world, capsys):
    """A loss of 6,000 on 4 tETH, worth 8,800 of which half may be lent, and a far liquidation."""
    from scripts import calls, trade

    account = world.account(LONG)
    calls.send(account, world.at("Asset").mint, account, 4 * ETHER, doing="the mint")
    trade.deposit(world.deployment, account, "asset", 4 * ETHER)
    trade.trade(world.deployment, account, trade.quote(world.deployment, account, 20 * ETHER))
    world.refresh(2_250 * 10**8)
    closing = trade.quote(world.deployment, account, -20 * ETHER)
    trade.trade(world.deployment, account, closing)
    assert "in debt   0x" in said(capsys, "status")
    assert "Done: settle_debt 1 x." in said(capsys, "liquidate")
    assert world.at("PerpVenue").account(account)[1] >= 0


def test_deleverage__one_call__as_the_model_says(world, capsys):
    deficit(world)
    assert "no loss waits" in complaint(capsys, "deleverage")
    said(capsys, "liquidate")
    venue = read(world)
    assert venue.stage == Stage.GATED
    assert venue.failed_longs.loss > 100_000 * USDC
    assert "Queued      " in said(capsys, "status")
    expected = expected_cuts(venue)
    assert "Done: deleverage 1 x." in said(capsys, "deleverage")
    after = read(world)
    assert (after.stage, after.failed_longs) == (Stage.OPEN, Failures())
    taken = given_up(venue, after)
    assert sum(taken.values()) == sum(expected.values()) > 0
    for owner, size in taken.items():  # funding of a second moves lambda a little
        assert abs(size - expected[owner]) <= ETHER // 1_000


def test_deleverage__chunks__exactly_as_the_model_says(world, capsys):
    """Four accounts in chunks of three: stand still, list twice, cut twice."""
    from scripts import upkeep

    deficit(world)
    said(capsys, "liquidate")
    account, care = world.account(KEEPER), Care(chunk=3)
    (begin,) = upkeep.upkeep.deleveraging(read(world), care)
    assert begin.arguments == (Cause.FAILED_LONGS, ())
    upkeep.make(world.deployment, account, begin)
    before = read(world)
    assert before.stage == Stage.BATCH
    expected = expected_cuts(before)

    made = resumed(world, account, care, [1, 2, 1])
    assert [len(call.arguments[1]) for call in made] == [3, 1, 3, 1]
    after = read(world)
    assert (after.stage, after.running) == (Stage.OPEN, None)
    assert given_up(before, after) == {owner: size for owner, size in expected.items() if size}


def resumed(world, account, care, steps):
    """Carry out a batch as several keepers would who each are stopped after some calls."""
    from scripts import upkeep

    made = []
    for count in steps:
        for call in upkeep.upkeep.deleveraging(read(world), care)[:count]:
            upkeep.make(world.deployment, account, call)
            made.append(call)
    return made


def expected_cuts(venue):
    """Return what each owner gives up, after the reference `check` has accepted the list."""
    from keeper import upkeep

    batch = upkeep.batch_of(venue, Cause.FAILED_LONGS)

    def maintenance(size):
        return maintenance_up(venue.market, size, venue.scale)

    accounts = upkeep.positions(venue)
    done = deleverage(batch, accounts, maintenance)
    check(batch, accounts, maintenance, done.cuts, done.leverage)
    assert upkeep.owners_in_order(venue, batch) == tuple(cut.owner for cut in done.cuts)
    return {cut.owner: cut.size for cut in done.cuts}


def given_up(before, after):
    """Return by how much each position shrank."""
    sizes = {each.owner: each.margin.delta for each in after.accounts}
    return {
        each.owner: abs(each.margin.delta) - abs(sizes[each.owner])
        for each in before.accounts
        if each.margin.delta != sizes[each.owner]
    }


@on_anvil
def test_deleverage__batch_that_cannot_be_completed__abandoned_after_its_time(world):
    """Somebody lists first who stands last; nobody else can ever be listed then."""
    from scripts import calls, upkeep

    deficit(world)
    account, venue = world.account(KEEPER), world.at("PerpVenue")
    upkeep.carry_out(world.deployment, account, lambda now: upkeep.upkeep.liquidations(now, Care()))
    *_, last = expected_cuts(read(world))
    calls.send(account, venue.deleverage, Cause.FAILED_LONGS, [last], doing="the bad list")
    assert upkeep.upkeep.deleveraging(read(world), Care()) == ()
    world.pass_time(601)
    (call,) = upkeep.upkeep.due(read(world), Care())
    assert call.method == "abandon"
    upkeep.make(world.deployment, account, call)
    assert venue.stage() != Stage.BATCH
    made, _ = upkeep.carry_out(
        world.deployment, account, lambda now: upkeep.upkeep.deleveraging(now, Care())
    )
    assert [call.method for call in made] == ["deleverage"]
    assert read(world).failed_longs == Failures()


@on_anvil
def test_deleverage__pool_runs_low__heavy_side_is_cut(world, capsys):
    """A pool of 20,000,000 that owes longs of 2,000 what a price of 11,500 brings."""
    for index in range(LONG, LONG + 4):
        opened(world, index, 500, 200_000)
    world.refresh(11_500 * 10**8)
    assert "runs low" in said(capsys, "status")
    assert "Done: deleverage 1 x." in said(capsys, "deleverage")
    after = read(world)
    assert after.market.skew == 2_000 * ETHER  # the backstop has what they gave up
    assert 0 < after.market.skew - after.backstop_size < 2_000 * ETHER // 10
    assert complaint(capsys, "deleverage")
    assert read(world).backstop_size == after.backstop_size  # nothing more to give up


def test_poke__keeps_up_funding_tokens_requests_and_backstop(world, capsys):
    from scripts import provide, take_over, trade

    provider = world.account(PROVIDER)
    opened(world, LONG, 100, 26_000)
    opened(world, 10, -50, 50_000)
    provide.request(world.deployment, provider, 1_000 * USDC)
    provide.leave(world.deployment, world.account(0), 1_000 * USDC)
    world.pass_time(HOUR)
    fund = world.at("InsuranceFund")
    held = fund.held()
    out = said(capsys, "poke")
    assert "Done: accrue 1 x, settle 1 x, collect 1 x, note_price 1 x." in out
    assert fund.held() > held
    assert world.at("LiquidityPool").shares_of(provider) == 0
    world.node.request("evm_increaseTime", 60)
    world.node.request("evm_mine")
    out = said(capsys, "poke")
    assert "execute_provide 1 x, execute_remove 1 x" in out
    assert world.at("LiquidityPool").shares_of(provider) > 990 * USDC

    world.refresh(2_300 * 10**8)
    said(capsys, "liquidate")
    held = read(world).backstop_size
    assert held > 40 * ETHER
    assert "waits for takers" in said(capsys, "status")
    assert not any(call.method == "unwind" for call in due(read(world)))
    taker = world.account(LONG + 1)
    trade.deposit(world.deployment, taker, "quote", 50_000 * USDC)
    take_over.take_over(world.deployment, taker, held - 15 * ETHER, 2**200)
    assert "unwind 1 x" in said(capsys, "poke")
    after = read(world)
    assert after.backstop_size == 5 * ETHER
    assert after.at - after.unwound_at <= 5
    assert not any(call.method == "unwind" for call in due(after))


def due(venue):
    from keeper import upkeep

    return upkeep.due(venue, Care())


def test_status__price_is_stale__said_and_nothing_but_tokens_is_due(world, capsys):
    opened(world, LONG, 100, 26_000)
    world.node.request("evm_increaseTime", DAY_SECS)
    world.node.request("evm_mine")
    assert "not usable now: oracle: asset feed stale" in said(capsys, "status")
    assert {call.method for call in due(read(world))} <= {"settle", "collect"}
    assert "oracle: asset feed stale" in complaint(capsys, "liquidate")


def test_end__insolvent_pool__wound_up_closed_released_and_paid(world, capsys):
    """Longs of 2,900 at 2,500 win 29,000,000 at 12,500; the pool has 20,000,000."""
    from scripts import provide, trade

    assert "the venue goes on" in complaint(capsys, "close")
    assert "the venue goes on" in complaint(capsys, "release")
    assert "no reason to end" in complaint(capsys, "wind_up")
    long = opened(world, LONG, 2_900, 1_200_000)
    short = opened(world, 10, -20, 300_000)
    world.refresh(12_500 * 10**8)
    assert "It is noted that the pool is insolvent" in said(capsys, "wind_up")
    assert "End         the pool is insolvent" in said(capsys, "status")
    assert "It is known that the pool is insolvent" in said(capsys, "wind_up")
    world.pass_time(HOUR)
    assert "The venue is wound up: the pool is insolvent" in said(capsys, "wind_up")
    assert "nothing is to be released" in complaint(capsys, "release")
    assert "Done: close 1 x, fix_claims 1 x." in said(capsys, "close")
    assert "claims are fixed" in complaint(capsys, "close")
    assert "release 2 x" in said(capsys, "release")
    assert "nothing is to be released" in complaint(capsys, "release")

    quote, venue = world.at("Quote"), world.at("PerpVenue")
    for account in (long, short):
        before, owed = quote.balanceOf(account), venue.account(account)[1]
        most = trade.withdrawable(world.deployment, account, "quote")
        assert most == owed > 0
        trade.withdraw(world.deployment, account, "quote", most)
        assert quote.balanceOf(account) - before == owed
    assert quote.balanceOf(long) > 20_000_000 * USDC
    assert venue.reserves()[0] < USDC

    with pytest.raises(SystemExit):
        provide.main("leave", "5", "0")
    assert "everybody leaves with all" in capsys.readouterr().err
    provide.main("leave", "all", "0")
    assert "its part of what the venue's claims left" in capsys.readouterr().out
    assert world.at("LiquidityPool").total_shares() == 0


@on_anvil
@pytest.mark.parametrize(
    ("action", "words", "expected"),
    [
        ("liquidate", ("0x12",), "0x12 is not an address"),
        ("liquidate", ("100",), "test accounts go from 0 to 99"),
        ("liquidate", ("0x" + "1" * 40,), "has no account that is under maintenance margin"),
        ("deleverage", (), "no loss waits for deleveraging"),
        ("close", (), "the venue goes on"),
    ],
)
def test_upkeep__what_cannot_work__one_line(world, capsys, action, words, expected):
    before = world.account(KEEPER).nonce
    assert expected in complaint(capsys, action, *words)
    assert world.account(KEEPER).nonce == before


@on_anvil
@pytest.mark.parametrize("action", ["liquidate", "poke", "wind_up"])
def test_upkeep__public_network_and_no__nothing_is_sent(world, monkeypatch, capsys, action):
    from brownie import accounts as brownie_accounts

    from scripts import accounts

    opened(world, LONG, 100, 26_000)
    world.refresh(2_300 * 10**8)
    monkeypatch.setattr(accounts, "LOCAL_CHAIN_IDS", frozenset())
    monkeypatch.setattr(brownie_accounts, "load", lambda name: world.account(KEEPER))
    questions = []
    monkeypatch.setattr("builtins.input", lambda question: questions.append(question) or "n")
    before = world.account(KEEPER).nonce
    words = (None, "alice") if action == "liquidate" else ("alice",)
    assert "nothing was sent" in complaint(capsys, action, *words)
    assert questions == ["Send? [y/N] "]
    assert world.account(KEEPER).nonce == before


@on_anvil
@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (lambda calls: {"error": "too many"}, "the node refuses a batch of reads"),
        (lambda calls: [{"error": {"code": -1}} for _ in calls], "the node refuses a read"),
    ],
)
def test_status__node_refuses__one_line(world, monkeypatch, capsys, answer, expected):
    from brownie import web3

    monkeypatch.setattr(web3.provider, "make_batch_request", answer)
    assert expected in complaint(capsys, "status")


@on_anvil
def test_carry_out__all_refused__ends_with_the_reasons(world):
    from keeper.upkeep import VENUE, Call
    from scripts import upkeep

    readings = []
    call = Call(contract=VENUE, method="unwind", why="a test wants it")

    def choose(venue):
        readings.append(venue)
        return [call]

    made, refused = upkeep.carry_out(world.deployment, world.account(KEEPER), choose)
    assert (made, len(readings)) == ([], 1)
    assert refused[call].reason == "venue: nothing to unwind"


@on_anvil
def test_read__head_and_history_in_few_requests(world):
    """Reads of all accounts go out together: as many requests for two accounts as for four."""
    from keeper.upkeep_reading import read as read_venue
    from scripts import upkeep

    def requests_of_a_reading():
        ask, count = upkeep._batch(), []

        def counted(calls):
            count.append(len(calls))
            return ask(calls)

        entry = world.deployment["PerpVenue"]
        read_venue(counted, entry.address.lower(), entry.block)
        return len(count)

    opened(world, LONG, 10, 26_000)
    two = requests_of_a_reading()
    opened(world, LONG + 1, 10, 26_000)
    assert requests_of_a_reading() == two
