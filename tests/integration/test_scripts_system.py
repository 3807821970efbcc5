# SPDX-License-Identifier: MIT
"""Deploy, verify, deposit, withdraw, set the ratio and look, through the scripts' functions."""

from __future__ import annotations

import json
from dataclasses import fields, replace

import pytest

from tests.script_world import CHAIN_IDS, DAY_SECS, ETHER, deployed, spoken

pytestmark = [
    pytest.mark.node,
    # Brownie's own: a node of a certain age, and threads that wait for confirmations.
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning"),
]

OWNER, PROVIDER, DEPOSITOR = 0, 3, 5
BOUND = "vault: bound of the caller"


@pytest.fixture(scope="module", params=["anvil", "ganache"])
def system(request, tmp_path_factory):
    with deployed(request.param, tmp_path_factory.mktemp("deployments")) as world:
        yield world


@pytest.fixture
def world(system):
    """The deployed system; what a test does to the chain is undone."""
    with system.undone():
        yield system


def wrong(findings):
    return [str(finding) for finding in findings if finding.grade == "WRONG"]


# --- deploy ----------------------------------------------------------------


def test_deploy__local__manifest_names_every_contract(world):
    from scripts import deployments

    chain_id = CHAIN_IDS[world.node.kind]
    fields_read = json.loads((world.folder / f"{chain_id}.json").read_text())
    assert set(deployments.NAMES) | {"AssetFeedWitness"} == set(fields_read["contracts"])
    assert fields_read["chain_id"] == chain_id
    assert fields_read["compiler"] == {"vyper": "0.4.3", "evm": "shanghai"}
    assert fields_read["deployer"] == str(world.account(OWNER))
    blocks = [entry["block"] for entry in fields_read["contracts"].values()]
    assert 0 < min(blocks) <= max(blocks) <= fields_read["block"]
    assert deployments.read(chain_id, world.folder).chain_id == chain_id


def test_deploy__local__seeds_are_where_a_market_needs_them(world):
    quote, assets = tuple(world.at("LiquidityPool").holdings())
    assert (quote, assets) == (20_000_000 * 10**6, 0)
    assert world.at("InsuranceFund").held() == 500_000 * 10**6
    assert tuple(world.at("SpotMarket").reserves()) == (20_000 * ETHER, 50_000_000 * 10**6)
    assert world.at("Asset").balanceOf(world.account(DEPOSITOR)) == 1_000 * ETHER


def test_venue_terms__order__is_that_of_the_struct(world):
    from scripts import terms

    rules = world.at("LiquidationRules")
    view = next(entry for entry in rules.abi if entry.get("name") == "terms")
    names = [part["name"] for part in view["outputs"][0]["components"]]
    assert [field.name for field in fields(terms.VenueTerms)] == names


def test_deploy__terms_that_a_contract_refuses__its_reason(world, tmp_path):
    from scripts import deploy, terms
    from scripts.calls import RefusedError

    bad = replace(terms.limits(18), margin_floor_bps=10_000)
    settings = deploy.local_settings().model_copy(update={"limits": bad})
    with pytest.raises(RefusedError, match="deploying HedgeBook is refused") as refused:
        deploy.deploy(settings, folder=tmp_path)
    assert refused.value.reason == "book: margin floor at liquidation"
    assert list(tmp_path.iterdir()) == []


def test_deploy__owner_is_the_guardian__refused_before_anything_is_sent(world, tmp_path):
    from scripts import deploy
    from scripts.calls import ScriptError

    base, before = deploy.local_settings(), world.account(OWNER).nonce
    for owner in (base.guardian, None):
        guardian = base.guardian if owner else str(world.account(OWNER))
        settings = base.model_copy(update={"owner": owner, "guardian": guardian})
        with pytest.raises(ScriptError, match="owner and guardian must be two accounts"):
            deploy.deploy(settings, folder=tmp_path)
    assert world.account(OWNER).nonce == before


def test_deploy__owner_of_its_own__proposes_and_the_deployer_does_not(world, tmp_path):
    from scripts import deploy, timelock, verify_deployment
    from scripts.calls import ScriptError

    owner = world.account(9)
    settings = deploy.local_settings().model_copy(update={"owner": str(owner), "seeds": None})
    second = deploy.deploy(settings, folder=tmp_path)
    assert wrong(verify_deployment.verify(second)) == []
    call = timelock.call_of(second, "HedgeBook", "set_hedge_ratio", 9_500)
    with pytest.raises(ScriptError, match="only the proposer 0x"):
        timelock.propose(second, world.account(OWNER), call)
    assert timelock.propose(second, owner, call).proposed_by == str(owner)


def test_deploy__address_without_code__named(world, tmp_path):
    from scripts import deploy
    from scripts.calls import ScriptError
    from scripts.settings import Token

    asset = Token(name="A", symbol="A", decimals=18, address=str(world.account(9)))
    settings = deploy.local_settings().model_copy(update={"asset": asset, "seeds": None})
    with pytest.raises(ScriptError, match="Asset: there is no contract at 0x"):
        deploy.deploy(settings, folder=tmp_path)


def test_deploy__tokens_and_feeds_that_exist__adopted_and_verified(world, tmp_path):
    from scripts import deploy, verify_deployment

    base = deploy.local_settings()
    changes = {"seeds": None}
    for field, name in {
        "asset": "Asset",
        "quote": "Quote",
        "asset_feed": "AssetFeed",
        "asset_witness": "AssetFeedWitness",
        "quote_feed": "QuoteFeed",
    }.items():
        address = world.deployment[name].address
        changes[field] = getattr(base, field).model_copy(update={"address": address})
    second = deploy.deploy(base.model_copy(update=changes), folder=tmp_path)
    assert second["Asset"].contract == "ERC20"
    assert second["QuoteFeed"].contract == "AggregatorV3"
    assert second["HedgeVault"].address != world.deployment["HedgeVault"].address
    assert wrong(verify_deployment.verify(second)) == []


@pytest.mark.parametrize(("asset_decimals", "quote_decimals"), [(6, 18), (8, 6)])
def test_deploy__other_decimals__whole_system_works(
    world, tmp_path, asset_decimals, quote_decimals
):
    from scripts import deploy, deposit, verify_deployment, withdraw

    base = deploy.local_settings()
    asset = base.asset.model_copy(update={"decimals": asset_decimals})
    quote = base.quote.model_copy(update={"decimals": quote_decimals})
    settings = base.model_copy(update={"asset": asset, "quote": quote})
    second = deploy.deploy(settings, folder=tmp_path)
    assert wrong(verify_deployment.verify(second)) == []
    depositor, one = world.account(DEPOSITOR), 10**asset_decimals
    # 2 - impact of 2 ETH at 5.1 bp - base charge of 75 bp, three more decimals
    shares = deposit.deposit(second, depositor, 2 * one)
    assert 1_983 * one <= shares <= 1_985 * one
    assert withdraw.withdraw(second, depositor, one) == one


# --- verify_deployment -----------------------------------------------------


def test_verify__untouched__nothing_wrong(world):
    from scripts import deployments, verify_deployment

    manifest = deployments.read(world.deployment.chain_id, world.folder)
    findings = verify_deployment.verify(manifest)
    assert wrong(findings) == []
    assert len(findings) > 50


def tampered(world, name, **changes):
    contracts = dict(world.deployment.contracts)
    contracts[name] = replace(contracts[name], **changes)
    return replace(world.deployment, contracts=contracts)


def test_verify__hash_in_manifest_changed__found(world):
    from scripts import verify_deployment

    manifest = tampered(world, "HedgeBook", code_hash="0x" + "0" * 64)
    assert wrong(verify_deployment.verify(manifest)) == [
        "WRONG  HedgeBook          code hash is not the manifest's"
    ]


def test_verify__argument_in_manifest_changed__immutables_differ(world):
    from scripts import verify_deployment

    asset, quote, fee_wad = world.deployment["SpotMarket"].arguments
    manifest = tampered(world, "SpotMarket", arguments=[asset, quote, int(fee_wad) + 1])
    assert wrong(verify_deployment.verify(manifest)) == [
        "WRONG  SpotMarket         the manifest's arguments give other immutables"
    ]


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({2: 10**18}, "the manifest's arguments are refused: spot: fee over 10 %"),
        ({2: "no number"}, "arguments do not fit"),
        ({1: None}, "arguments do not fit"),
    ],
)
def test_verify__argument_in_manifest_impossible__found(world, changes, found):
    from scripts import verify_deployment

    given = dict(enumerate(world.deployment["SpotMarket"].arguments)) | changes
    manifest = tampered(world, "SpotMarket", arguments=list(given.values()))
    (line,) = wrong(verify_deployment.verify(manifest))
    assert line.startswith(f"WRONG  SpotMarket         {found}")


def test_verify__code_over_the_limit__found(world, monkeypatch):
    from scripts import verify_deployment

    monkeypatch.setattr(verify_deployment, "MAX_CODE_BYTES", 20_000)
    lines = wrong(verify_deployment.verify(world.deployment))
    assert any("PerpVenue" in line and "bytes, over 20,000" in line for line in lines)


def test_verify__vault_name_in_manifest_changed__immutables_differ(world):
    """The EIP-712 domain, which may differ in the replay, is held against the name."""
    from scripts import verify_deployment

    *parts, _, symbol, charge = world.deployment["HedgeVault"].arguments
    manifest = tampered(world, "HedgeVault", arguments=[*parts, "Another", symbol, charge])
    assert wrong(verify_deployment.verify(manifest)) == [
        "WRONG  HedgeVault         the manifest's arguments give other immutables"
    ]


def test_verify__another_contract_at_the_address__found(world):
    from scripts import verify_deployment

    fund = world.deployment["InsuranceFund"]
    manifest = tampered(world, "SpotMarket", address=fund.address, code_hash=fund.code_hash)
    assert wrong(verify_deployment.verify(manifest)) == [
        "WRONG  SpotMarket         code is not that of SpotMarket.vy"
    ]


def test_verify__no_code_at_the_address__found_and_ends(world):
    from scripts import verify_deployment

    manifest = tampered(world, "VaultLens", address=str(world.account(9)))
    assert wrong(verify_deployment.verify(manifest)) == [
        f"WRONG  VaultLens          no code at {world.account(9)}"
    ]


def test_verify__code_on_chain_replaced__found(world):
    if world.node.kind != "anvil":
        pytest.skip("Ganache cannot set code")
    from scripts import verify_deployment

    oracle = world.deployment["PriceOracle"].address
    code = world.node.request("eth_getCode", oracle, "latest")
    world.node.request("anvil_setCode", oracle, code[:-2] + "ff")
    assert wrong(verify_deployment.verify(world.deployment))[:2] == [
        "WRONG  PriceOracle        code hash is not the manifest's",
        "WRONG  PriceOracle        the manifest's arguments give other immutables",
    ]


@pytest.mark.parametrize(
    ("name", "method", "arguments", "found"),
    [
        ("InsuranceFund", "register", ("PerpVenue", 0), "not true: draws within an allotment"),
        ("InsuranceFund", "register", ("Quote", 1), "venues is"),
        ("HedgeBook", "set_keeper", ("Quote",), "keeper is 0x"),
        ("HedgeBook", "set_guardian", ("Quote",), "guardian is 0x"),
        ("HedgeBook", "set_allotment", ("PerpVenue", 0), "not true: allotment up to 100 %"),
        ("HedgeBook", "set_hedge_ratio_bounds", (0, 12_000), "lower ratio bound is 0"),
    ],
)
def test_verify__changed_after_deployment__found(world, name, method, arguments, found):
    from scripts import verify_deployment

    given = [
        world.deployment[part].address if isinstance(part, str) else part for part in arguments
    ]
    world.govern(name, method, *given)
    lines = wrong(verify_deployment.verify(world.deployment))
    assert any(found in line and name in line for line in lines), lines


def test_verify__second_venue__found(world):
    from scripts import calls, verify_deployment

    owner, arguments = world.account(OWNER), world.deployment["PerpVenue"].arguments
    second = calls.create(owner, "PerpVenue", *arguments).contract_address
    world.govern("HedgeBook", "add_venue", second, 1)
    assert wrong(verify_deployment.verify(world.deployment)) == [
        "WRONG  HedgeBook          number of venues is 2, expected 1"
    ]


def test_verify__premium_cap_over_the_penalty__found(world, monkeypatch):
    from scripts import verify_deployment

    terms = dict(world.at("LiquidationRules").terms().dict())
    monkeypatch.setattr(
        verify_deployment,
        "failing_pays",
        lambda cap, penalty: (cap, penalty) == (terms["premium_cap_wad"], terms["penalty_wad"]),
    )
    assert wrong(verify_deployment.verify(world.deployment)) == [
        "WRONG  LiquidationRules   not true: premium cap within the penalty"
    ]


def test_verify__limits_changed__found(world):
    from scripts import terms, verify_deployment

    loose = replace(terms.limits(18), slippage_bps=76)
    world.govern("HedgeBook", "set_limits", loose.words())
    (line,) = wrong(verify_deployment.verify(world.deployment))
    assert "HedgeBook          limits is" in line


def test_verify__ratio_and_charge_raised_since__noted(world):
    """The vault could not be created with its old charge now, which is no fault of it."""
    from scripts import verify_deployment

    world.govern("HedgeVault", "set_base_charge", 79)
    world.govern("HedgeBook", "set_hedge_ratio", 10_500)
    findings = verify_deployment.verify(world.deployment)
    assert wrong(findings) == []
    notes = [str(finding) for finding in findings if finding.grade == "note"]
    assert notes == [
        (
            "note   HedgeVault         the manifest's arguments are refused: "
            "vault: base charge too low"
        ),
        "note   HedgeBook          hedge ratio is 105.00 %, was 100.00 % at deployment",
    ]


def test_verify__ownership_offered__found(world):
    from scripts import verify_deployment

    heir = str(world.account(9))
    world.govern("HedgeVault", "transfer_ownership", heir)
    assert wrong(verify_deployment.verify(world.deployment)) == [
        f"WRONG  HedgeVault         ownership offered to is {heir}, expected 0x{'0' * 40}"
    ]


def test_verify__never_handed_over__every_owner_found(world, tmp_path, monkeypatch):
    """A deployer who kept everything, although there is a timelock to show."""
    from scripts import deploy, verify_deployment

    def keep(builder, settings):
        delay, guardian = settings.timelock_secs, settings.guardian
        builder.create("Timelock", "Timelock", delay, str(builder.account), guardian)
        builder.send("HedgeBook", "transfer_ownership", builder["Timelock"])

    monkeypatch.setattr(deploy, "_hand_over", keep)
    second = deploy.deploy(folder=tmp_path)
    lines = wrong(verify_deployment.verify(second))
    assert [line.split()[1] for line in lines if "owner is the timelock is 0x" in line] == [
        "InsuranceFund",
        "LiquidityPool",
        "HedgeBook",
        "HedgeVault",
    ]
    assert [line.split()[1] for line in lines if "ownership offered to is" in line] == ["HedgeBook"]


@pytest.mark.parametrize(
    ("method", "argument", "found"),
    [
        ("set_proposer", "heir", ["proposer is 0x", "roles by its events is"]),
        ("set_guardian", "heir", ["guardian is 0x", "roles by its events is"]),
        ("update_delay", 3 * DAY_SECS, []),
    ],
)
def test_verify__timelock_changed_since__found(world, method, argument, found):
    from scripts import verify_deployment

    world.govern("Timelock", method, str(world.account(9)) if argument == "heir" else argument)
    findings = verify_deployment.verify(world.deployment)
    lines = wrong(findings)
    assert len(lines) == len(found)
    assert all(words in line for words, line in zip(found, lines, strict=True)), lines
    noted = "note   Timelock           delay is 3 days, was 2 days at deployment"
    assert (noted in map(str, findings)) == (not found)


def test_verify__what_waits__noted(world):
    from scripts import timelock, verify_deployment

    call = timelock.call_of(world.deployment, "HedgeBook", "set_hedge_ratio", 9_500)
    timelock.propose(world.deployment, world.account(OWNER), call)
    findings = verify_deployment.verify(world.deployment)
    assert wrong(findings) == []
    (line,) = [str(finding) for finding in findings if finding.grade == "note"]
    said = "note   Timelock           HedgeBook.set_hedge_ratio(ratio_bps 95.00 %) may be executed"
    assert line.startswith(said)


def test_verify__stale_price__noted(world):
    from scripts import verify_deployment

    world.node.request("evm_increaseTime", DAY_SECS)
    world.node.request("evm_mine")
    findings = verify_deployment.verify(world.deployment)
    assert wrong(findings) == []
    assert any("no good price: oracle: asset feed stale" in str(line) for line in findings)


# --- deposit and withdraw --------------------------------------------------


def test_deposit__quoted_then_done__same_shares_and_no_allowance_left(world):
    from scripts import deposit

    depositor = world.account(DEPOSITOR)
    offer = deposit.quote(world.deployment, depositor, 10 * ETHER)
    deposit.check(world.deployment, depositor, 10 * ETHER)
    shares = deposit.deposit(world.deployment, depositor, 10 * ETHER)
    # base charge 75 bp, impact 5 bp of fee and half of the premium that 10 of 100,000 make
    assert shares == offer.shares
    assert offer.value + offer.charge == 10 * ETHER
    assert offer.charge == 10 * ETHER * 805 // 100_000
    assert world.at("HedgeVault").balanceOf(depositor) == shares
    assert world.at("Asset").allowance(depositor, world.at("HedgeVault").address) == 0


@pytest.mark.parametrize(
    ("assets", "said"),
    [
        (1_001 * ETHER, "has only 1,000 tETH"),
        (101 * ETHER, "the vault takes at most 100 tETH until its keeper has hedged"),
    ],
)
def test_deposit_check__too_much__says_what_would_do(world, assets, said):
    from scripts import deposit
    from scripts.calls import ScriptError

    with pytest.raises(ScriptError, match=said):
        deposit.check(world.deployment, world.account(DEPOSITOR), assets)


def test_deposit__price_is_stale__oracles_reason(world):
    from scripts import deposit
    from scripts.calls import RefusedError

    world.node.request("evm_increaseTime", DAY_SECS)
    world.node.request("evm_mine")
    with pytest.raises(RefusedError, match="the deposit is refused: oracle: asset feed stale"):
        deposit.check(world.deployment, world.account(DEPOSITOR), ETHER)
    with pytest.raises(RefusedError) as refused:
        deposit.deposit(world.deployment, world.account(DEPOSITOR), ETHER)
    assert refused.value.reason == "oracle: asset feed stale"


def pushed(world):
    """Push the skew so that opening a short for the vault costs more: a trader sells."""
    from scripts import calls

    quote, venue, trader = world.at("Quote"), world.at("PerpVenue"), world.account(4)
    calls.send(trader, quote.mint, trader, 10**13, doing="the push")
    calls.send(trader, quote.approve, venue.address, 10**13, doing="the push")
    calls.send(trader, venue.deposit, 0, 10**13, doing="the push")
    calls.send(trader, venue.trade, 0, -2_500 * ETHER, 1, doing="the push")


def test_deposit__skew_pushed_after_the_quote__refused(world):
    """Finding F-7: others can move the charge between the quote and the transaction."""
    from scripts import deposit
    from scripts.amounts import at_least
    from scripts.calls import RefusedError

    depositor = world.account(DEPOSITOR)
    offer = deposit.quote(world.deployment, depositor, 10 * ETHER)
    pushed(world)
    with pytest.raises(RefusedError) as refused:
        deposit.deposit(world.deployment, depositor, 10 * ETHER, at_least(offer.shares))
    assert refused.value.reason == BOUND


@pytest.mark.parametrize("assets", [5 * ETHER, None])
def test_withdraw__worse_than_the_quote__refused(world, assets):
    from scripts import deposit, withdraw
    from scripts.calls import RefusedError

    first, second = world.account(5), world.account(6)
    for depositor in (first, second):
        deposit.deposit(world.deployment, depositor, 10 * ETHER)
    offer = withdraw.quote(world.deployment, first, assets)
    better = replace(offer, assets=offer.assets * 101 // 100, shares=offer.shares * 99 // 100)
    if assets is None:
        better = replace(better, shares=offer.shares)
    with pytest.raises(RefusedError) as refused:
        withdraw.withdraw(world.deployment, first, assets, better)
    assert refused.value.reason == BOUND
    assert withdraw.withdraw(world.deployment, first, assets, offer) == offer.assets


def test_withdraw__from_idle__exact_assets(world):
    from scripts import deposit, withdraw

    depositor = world.account(DEPOSITOR)
    deposit.deposit(world.deployment, depositor, 10 * ETHER)
    offer = withdraw.quote(world.deployment, depositor, 4 * ETHER)
    withdraw.check(world.deployment, depositor, 4 * ETHER)
    before = int(world.at("HedgeVault").balanceOf(depositor))
    assert withdraw.withdraw(world.deployment, depositor, 4 * ETHER) == 4 * ETHER
    assert before - int(world.at("HedgeVault").balanceOf(depositor)) == offer.shares
    assert (offer.assets, offer.idle, offer.margin) == (4 * ETHER, 4 * ETHER, 0)


def test_withdraw__over_what_is_idle__rest_from_margin(world):
    from scripts import deposit, withdraw

    depositor = world.account(DEPOSITOR)
    deposit.deposit(world.deployment, depositor, 10 * ETHER)
    world.rebalance(margin_assets=5 * ETHER, size=-10 * ETHER)
    idle = int(world.at("HedgeVault").idle_assets())
    assets = idle + ETHER // 10
    offer = withdraw.quote(world.deployment, depositor, assets)
    assert (offer.idle, offer.margin) == (idle, ETHER // 10)
    assert withdraw.withdraw(world.deployment, depositor, assets) == assets
    assert world.at("HedgeVault").idle_assets() == 0


def test_withdraw__all_of_several_holders__shares_gone(world):
    from scripts import deposit, withdraw

    first, second = world.account(5), world.account(6)
    for depositor in (first, second):
        deposit.deposit(world.deployment, depositor, 10 * ETHER)
    offer = withdraw.quote(world.deployment, first, None)
    paid = withdraw.withdraw(world.deployment, first, None)
    assert paid == offer.assets < 10 * ETHER
    assert world.at("HedgeVault").balanceOf(first) == 0
    assert world.at("HedgeVault").balanceOf(second) > 0


def test_withdraw__all_but_what_is_margin__says_how_the_rest_leaves(world, capsys, monkeypatch):
    from scripts import deposit, withdraw
    from scripts.amounts import show

    monkeypatch.setattr(withdraw, "current", lambda: world.deployment)
    deposit.deposit(world.deployment, world.account(DEPOSITOR), 10 * ETHER)
    world.rebalance(margin_assets=5 * ETHER, size=-10 * ETHER)
    withdraw.main("all")
    out = capsys.readouterr().out
    left = show(int(world.at("HedgeVault").balanceOf(world.account(DEPOSITOR))), 21)
    assert f"{left} shares stay, which are not liquid now" in out


def test_withdraw_check__bad_amounts__say_what_would_do(world):
    from scripts import deposit, withdraw
    from scripts.calls import ScriptError

    depositor = world.account(DEPOSITOR)
    with pytest.raises(ScriptError, match="has no shares of this vault"):
        withdraw.check(world.deployment, depositor, ETHER)
    deposit.deposit(world.deployment, depositor, ETHER)
    with pytest.raises(ScriptError, match=r"can withdraw at most 0\.999999 tETH now"):
        withdraw.check(world.deployment, depositor, 2 * ETHER)
    with pytest.raises(ScriptError, match="at most"):
        withdraw.check(world.deployment, depositor, 2**127)


def test_withdraw_check__price_is_stale__refused(world):
    from scripts import deposit, withdraw
    from scripts.calls import RefusedError

    deposit.deposit(world.deployment, world.account(DEPOSITOR), ETHER)
    world.node.request("evm_increaseTime", DAY_SECS)
    world.node.request("evm_mine")
    with pytest.raises(RefusedError, match="the withdrawal is refused: oracle: asset feed stale"):
        withdraw.check(world.deployment, world.account(DEPOSITOR), ETHER)


# --- set_hedge_ratio -------------------------------------------------------


@pytest.fixture
def ratio(world, monkeypatch):
    """The script on this deployment, as `spoken` gives it."""
    from scripts import set_hedge_ratio

    monkeypatch.setattr(set_hedge_ratio, "current", lambda: world.deployment)
    return spoken("set_hedge_ratio")


def test_set_hedge_ratio__proposed_awaited_and_run_again__set(world, ratio, capsys):
    said, complaint = ratio
    assert "Proposed; run the same again from 20" in said(capsys, "95%")
    assert "it is proposed and may be executed from 20" in complaint(capsys, "9500")
    assert world.at("HedgeBook").hedge_ratio_bps() == 10_000
    world.pass_time(2 * DAY_SECS)
    assert "Done. The keeper moves" in said(capsys, "95%", "depositor")  # anybody executes
    assert world.at("HedgeBook").hedge_ratio_bps() == 9_500


def test_set_hedge_ratio__back_and_forth__proposed_anew(world, ratio, capsys):
    said, _ = ratio
    for words in ("95%", "100%", "95%"):
        said(capsys, words)
        world.pass_time(2 * DAY_SECS)
        said(capsys, words)
    assert world.at("HedgeBook").hedge_ratio_bps() == 9_500


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("49.99%",), "49.99 % is outside the bounds of 50.00 % to 105.00 %"),
        (("10501",), "is outside the bounds"),
        (("7499",), "from 100.00 % it may move by 25.00 % then, by 25.00 % a day"),
        (("105%",), "base charge of 0.75 % covers less than the 0.79 %"),
        (("95%", "depositor"), "only the proposer 0x"),
        ((), "say which"),
    ],
)
def test_set_hedge_ratio__what_the_book_would_refuse__not_proposed(
    world, ratio, capsys, words, why
):
    from scripts import timelock

    _, complaint = ratio
    assert why in complaint(capsys, *words)
    assert timelock.pending(world.deployment) == []


def test_set_hedge_ratio__changed_meanwhile__told_before_it_is_executed(world, ratio, capsys):
    from scripts import timelock

    said, complaint = ratio
    said(capsys, "95%")
    bounds = timelock.call_of(
        world.deployment, "HedgeBook", "set_hedge_ratio_bounds", 9_900, 10_000
    )
    proposal = timelock.propose(world.deployment, world.account(OWNER), bounds)
    world.pass_time(2 * DAY_SECS)
    timelock.execute(world.deployment, world.account(DEPOSITOR), proposal)
    assert "95.00 % is outside the bounds of 99.00 % to 100.00 %" in complaint(capsys, "95%")


# --- status ----------------------------------------------------------------


def test_status__hedged_vault__says_what_matters(world):
    from scripts import deposit, status

    depositor = world.account(DEPOSITOR)
    deposit.deposit(world.deployment, depositor, 10 * ETHER)
    world.rebalance(margin_assets=5 * ETHER, size=-10 * ETHER)
    _, at, vault = status.snapshot(world.deployment)
    text = "\n".join(status.lines(vault, at) + status.holding(world.deployment, depositor))
    assert "Price          2,500 quote for one asset" in text
    assert "target 0.00 % (hedge ratio 100.00 %)" in text
    assert "position     -10 asset" in text
    assert "x of maintenance, floor 4.80 x, target 6.70 x; liquidated at" in text
    assert "0 long, 10 short" in text
    assert "URGENT" not in text


def test_status__no_good_price__says_why(world):
    from scripts import status

    world.node.request("evm_increaseTime", DAY_SECS)
    world.node.request("evm_mine")
    _, at, vault = status.snapshot(world.deployment)
    assert status.lines(vault, at)[0] == "Price          not usable: oracle: asset feed stale"


def test_status__account_without_shares__says_so(world):
    from scripts import status

    (line,) = status.holding(world.deployment, world.account(9))
    assert line.endswith("has no shares")


# --- stake -----------------------------------------------------------------


@pytest.fixture
def staked(world, monkeypatch):
    """A thousand of quote staked on a system as it was deployed."""
    from scripts import stake

    monkeypatch.setattr(stake, "current", lambda: world.deployment)
    stake.main("1000")
    return world, world.account(PROVIDER)


@pytest.fixture
def entered(staked):
    """Such a stake a day later."""
    from scripts import stake

    world, account = staked
    world.pass_time(DAY_SECS)
    stake.enter()
    assert world.at("InsuranceFund").shares_of(account) == 1_000 * 10**12
    return world, account


def test_stake__before_its_entry__said_in_plain_words(staked):
    from scripts import stake
    from scripts.calls import ScriptError

    world, account = staked
    here = world.deployment
    assert any("Coming   1,000 tUSDC" in line for line in stake.lines(here, account))
    with pytest.raises(ScriptError, match="the stake may enter at 20"):
        stake.check_enter(here, account)
    with pytest.raises(ScriptError, match="has a stake that has not entered"):
        stake.check(here, account, 10**6)
    with pytest.raises(ScriptError, match="has no stake that has not entered"):
        stake.check_enter(here, world.account(9))


def test_stake__request_wait_and_unstake__paid(entered, capsys):
    from scripts import stake

    world, account = entered
    stake.request("400")
    assert "asks to leave with 400 tUSDC" in capsys.readouterr().out
    assert any("Leaving  400 tUSDC" in line for line in stake.lines(world.deployment, account))
    world.pass_time(7 * DAY_SECS)
    before = world.at("Quote").balanceOf(account)
    stake.unstake()
    assert world.at("Quote").balanceOf(account) - before == 400 * 10**6
    stake.request("all")
    stake.cancel()
    stake.status()
    assert "Staked   600 tUSDC" in capsys.readouterr().out


def test_stake__what_cannot_work__said_in_plain_words(entered):
    from scripts import calls, stake
    from scripts.calls import ScriptError

    world, account = entered
    here, fund = world.deployment, world.at("InsuranceFund")
    held = world.at("Quote").balanceOf(account)
    with pytest.raises(ScriptError, match=r"has only [\d,]+ tUSDC"):
        stake.check(here, account, held + 1)
    with pytest.raises(ScriptError, match="has only 1,000 tUSDC in the fund"):
        stake.shares_to_leave(here, account, 1_001 * 10**6)
    with pytest.raises(ScriptError, match="has nothing in the fund"):
        stake.shares_to_leave(here, world.account(9), None)
    with pytest.raises(ScriptError, match="has not asked to leave"):
        stake.check_unstake(here, account)
    calls.send(account, fund.request_unstake, 10**12, doing="the request")
    with pytest.raises(ScriptError, match="has asked to leave already"):
        stake.shares_to_leave(here, account, None)
    with pytest.raises(ScriptError, match="payment opens at 20"):
        stake.check_unstake(here, account)
    world.pass_time(9 * DAY_SECS + 60)
    with pytest.raises(ScriptError, match="the request expired at 20"):
        stake.check_unstake(here, account)


@pytest.mark.parametrize("mined", [True, False])
def test_send__brownie_gives_it_up__found_or_said(world, monkeypatch, mined):
    """Anvil may know a transaction and not show it yet; Brownie then says it was dropped."""
    from brownie.exceptions import TransactionError

    from scripts import calls

    account, sent = world.account(0), []
    transfer = type(account).transfer

    def dropped(self, *arguments, **options):
        sent.append(transfer(self, *arguments, **options).txid if mined else "0x" + "12" * 32)
        raise TransactionError(f"Tx dropped without known replacement: {sent[-1]}")

    monkeypatch.setattr(type(account), "transfer", dropped)
    monkeypatch.setattr(calls, "LATE_SECS", 0.5)
    feed = world.at("QuoteFeed")
    answer = int(feed.latestRoundData()[1])
    if mined:
        receipt = calls.send(account, feed.set_answer, answer, doing="the feed")
        assert (receipt.txid, int(receipt.status)) == (sent[0], 1)
    else:
        with pytest.raises(calls.RefusedError, match="the feed is refused: dropped by the node"):
            calls.send(account, feed.set_answer, answer, doing="the feed")
