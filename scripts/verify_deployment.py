# SPDX-License-Identifier: MIT
"""
Check that what is on the chain is what the manifest and these sources say.

    brownie run verify_deployment --network development

Read-only. One line for each check; exits with 1 if one of them is wrong.

Code is checked three ways: its size, its hash against the manifest, and by
replaying the creation in ``eth_call`` with the compiled source here and the
constructor arguments of the manifest, which must give the same code to the
last byte, immutables included.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any, Final, Literal

from brownie import web3
from eth_abi.abi import encode
from eth_utils.crypto import keccak

from keeper.events import Event
from keeper.proposals import days
from keeper.units import BPS, DAY_SECS, mul_div_up
from scripts import timelock
from scripts.accounts import is_local
from scripts.amounts import show_bps
from scripts.calls import (
    RefusedError,
    artefacts,
    contract,
    current,
    for_people,
    quiet,
    simulate,
)
from scripts.chain_time import head_at
from scripts.deployments import OWNED, Deployed, Deployment, portable
from scripts.terms import failing_pays

MAX_CODE_BYTES: Final = 22_500  # of the 24,576 that a chain allows
WORD: Final = 32  # bytes
NOBODY: Final = "0x" + "00" * 20
INTERFACES: Final = frozenset({"ERC20", "AggregatorV3"})  # contracts of others
# The vault's constructor holds the base charge against the ratio, which may have risen since.
STATE_DEPENDENT: Final = frozenset({"HedgeVault"})
TEST_DOUBLES: Final = frozenset({"MintableToken", "SettableFeed"})

Grade = Literal["ok", "note", "WRONG"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """
    One check and how it came out; a note is legal, but a person should know.

    After a `fatal` one nothing more can be asked of the contract.
    """

    grade: Grade
    name: str
    text: str
    fatal: bool = False

    def __str__(self) -> str:
        """Return the line that is printed."""
        return f"{self.grade:<6} {self.name:<18} {self.text}"


@for_people
def main() -> None:
    """Print every finding; see the file's docstring."""
    quiet()
    findings = verify(current())
    print()
    for finding in findings:
        print(finding)
    wrong = sum(finding.grade == "WRONG" for finding in findings)
    print(f"\n{len(findings)} checks, {wrong} wrong")
    if wrong:
        sys.exit(1)


def verify(deployment: Deployment) -> list[Finding]:
    """
    Return all findings on a deployment; it is wrong if one of them is.

    A contract that is missing or another one ends the checks after those of the
    code, because its answers would mean nothing.
    """
    findings = [
        finding
        for name, entry in deployment.contracts.items()
        for finding in _code(deployment, name, entry)
    ]
    if any(finding.fatal for finding in findings):
        return findings
    return findings + _wiring(deployment) + _roles(deployment) + _limits(deployment)


def _code(deployment: Deployment, name: str, entry: Deployed) -> list[Finding]:
    code = bytes(web3.eth.get_code(entry.address))
    if not code:
        text = f"no code at {entry.address}"
        return [Finding(grade="WRONG", name=name, text=text, fatal=True)]
    found = []
    if "0x" + keccak(code).hex() != entry.code_hash:
        found.append(Finding(grade="WRONG", name=name, text="code hash is not the manifest's"))
    if entry.contract in INTERFACES:
        text = f"{len(code):,} bytes, not ours to compile"
        return [*found, Finding(grade="note", name=name, text=text)]
    if len(code) > MAX_CODE_BYTES:
        text = f"{len(code):,} bytes, over {MAX_CODE_BYTES:,}"
        found.append(Finding(grade="WRONG", name=name, text=text))
    if entry.contract in TEST_DOUBLES and not is_local():
        text = f"{entry.contract} is a test double, anyone may change it"
        found.append(Finding(grade="note", name=name, text=text))
    return [*found, _source(deployment, name, entry, code)]


def _source(deployment: Deployment, name: str, entry: Deployed, code: bytes) -> Finding:
    """Compare the code with the source here, compiled and created with the same arguments."""
    container = artefacts()[entry.contract]
    runtime = bytes.fromhex(container._build["deployedBytecode"].removeprefix("0x"))
    if code[: len(runtime)] != runtime:
        text = f"code is not that of {entry.contract}.vy"
        return Finding(grade="WRONG", name=name, text=text, fatal=True)
    try:
        creation = container.deploy.encode_input(*entry.arguments)
        replayed = simulate(deployment.deployer, None, creation, f"creating {name}")
    except RefusedError as error:
        text = f"the manifest's arguments are refused: {error.reason}"
        moved_on = entry.contract in STATE_DEPENDENT
        return Finding(grade="note" if moved_on else "WRONG", name=name, text=text)
    except (ValueError, TypeError) as error:
        return Finding(grade="WRONG", name=name, text=f"arguments do not fit: {error}")
    if not _same_immutables(entry, code[len(runtime) :], replayed[len(runtime) :]):
        text = "the manifest's arguments give other immutables"
        return Finding(grade="WRONG", name=name, text=text)
    text = f"{len(code):,} bytes as compiled, with the manifest's arguments"
    return Finding(grade="ok", name=name, text=text)


def _same_immutables(entry: Deployed, found: bytes, replayed: bytes) -> bool:
    """
    Tell whether immutables are those of the replayed creation.

    The replay takes place at another address, so a word may differ where the
    contract keeps its own address or its EIP-712 domain, which contains it.
    """
    own = {bytes(12) + bytes.fromhex(entry.address[2:])}
    if entry.contract == "HedgeVault":
        own.add(_domain_separator(entry.arguments[4], entry.address))
    words = range(0, max(len(found), len(replayed)), WORD)
    return all(
        found[at : at + WORD] == replayed[at : at + WORD] or found[at : at + WORD] in own
        for at in words
    )


def _domain_separator(name: str, address: str) -> bytes:
    """Return the EIP-712 domain separator of a token on this chain, version 1."""
    kind = "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
    hashes = [keccak(text=text) for text in (kind, name, "1")]
    types = ["bytes32", "bytes32", "bytes32", "uint256", "address"]
    return keccak(encode(types, [*hashes, int(web3.chain_id), address]))


def _wiring(deployment: Deployment) -> list[Finding]:
    """Check that every part knows its partners."""
    at = {name: contract(deployment, name) for name in deployment.contracts}
    address = {name: entry.address for name, entry in deployment.contracts.items()}
    venue = address["PerpVenue"]
    feeds = [str(feed[0]) for feed in at["PriceOracle"].feeds()]
    names = ("AssetFeed", "AssetFeedWitness", "QuoteFeed", "QuoteFeedWitness")
    found = [
        _same("PriceOracle", name, source, address.get(name, NOBODY))
        for name, source in zip(names, feeds, strict=True)
    ]
    partners = (
        ("SpotMarket", "asset", "Asset"),
        ("SpotMarket", "quote", "Quote"),
        ("InsuranceFund", "QUOTE", "Quote"),
        ("LiquidityPool", "ASSET", "Asset"),
        ("LiquidityPool", "QUOTE", "Quote"),
        ("LiquidityPool", "ORACLE", "PriceOracle"),
        ("LiquidityPool", "venue", "PerpVenue"),
        ("LiquidationRules", "ASSET", "Asset"),
        ("LiquidationRules", "QUOTE", "Quote"),
        ("PerpVenue", "ASSET", "Asset"),
        ("PerpVenue", "QUOTE", "Quote"),
        ("PerpVenue", "ORACLE", "PriceOracle"),
        ("PerpVenue", "POOL", "LiquidityPool"),
        ("PerpVenue", "FUND", "InsuranceFund"),
        ("PerpVenue", "RULES", "LiquidationRules"),
        ("PerpVenue", "NEXT", "VenueRecovery"),
        ("VenueRecovery", "NEXT", "Deleverager"),
        ("Deleverager", "NEXT", "VenueBackstop"),
        ("VenueBackstop", "NEXT", "VenueWindUp"),
        ("HedgeBook", "asset", "Asset"),
        ("HedgeBook", "quote", "Quote"),
        ("HedgeBook", "oracle", "PriceOracle"),
        ("HedgeBook", "spot", "SpotMarket"),
        ("HedgeBook", "guard", "HedgeGuard"),
        ("HedgeBook", "NEXT", "BookControl"),
        ("HedgeBook", "vault", "HedgeVault"),
        ("HedgeVault", "book", "HedgeBook"),
        ("HedgeVault", "asset", "Asset"),
        ("HedgeVault", "rules", "FlowRules"),
        ("HedgeVault", "queue", "RedemptionQueue"),
        ("HedgeVault", "exit_in_kind", "ExitInKind"),
        ("ExitInKind", "book", "HedgeBook"),
        ("ExitInKind", "vault", "HedgeVault"),
        ("RedemptionQueue", "book", "HedgeBook"),
        ("RedemptionQueue", "vault", "HedgeVault"),
        ("RedemptionQueue", "ASSET_FEED", "AssetFeed"),
    )
    found += [
        _same(name, view, str(getattr(at[name], view)()), address[partner])
        for name, view, partner in partners
    ]
    return [
        *found,
        _same("InsuranceFund", "venues", list(at["InsuranceFund"].venues()), [venue]),
        _same("HedgeBook", "number of venues", at["HedgeBook"].venue_count(), 1),
        _same("HedgeBook", "venue 0", str(at["HedgeBook"].venues(0)), venue),
        _true("LiquidityPool", "holds the tokens of its ledger", _pool_is_covered(at)),
        _true("RedemptionQueue", "holds the tokens of its ledger", _queue_is_covered(at)),
        _true("ExitInKind", "holds the shares of its ledger", _exit_is_covered(at)),
    ]


def _roles(deployment: Deployment) -> list[Finding]:
    """Check who may do what; a change since the deployment is for a person to judge."""
    book, lock = contract(deployment, "HedgeBook"), contract(deployment, "Timelock")
    found = []
    for name in OWNED:
        part = contract(deployment, name)
        found += [
            _same(name, "owner is the timelock", str(part.owner()), lock.address),
            _same(name, "ownership offered to", str(part.pending_owner()), NOBODY),
        ]
    liquidity = str(contract(deployment, "SpotMarket").owner())
    keeper, guardian = deployment["HedgeBook"].arguments[1:3]
    proposer = deployment["Timelock"].arguments[1]
    found += [
        _same("SpotMarket", "owner of its liquidity", liquidity, deployment.deployer),
        _same("HedgeBook", "keeper", str(book.keeper()), keeper),
        _same("HedgeBook", "guardian", str(book.guardian()), guardian),
    ]
    if len({proposer, keeper, guardian}) < 3:
        text = "owner, keeper and guardian are not three different accounts"
        found.append(Finding(grade="note", name="HedgeBook", text=text))
    return found + _timelock(deployment)


def _timelock(deployment: Deployment) -> list[Finding]:
    """Check that nobody but the proposer proposes, and nobody acts at once; say what waits."""
    lock = contract(deployment, "Timelock")
    before, proposer, guardian = deployment["Timelock"].arguments
    delay, logged = int(lock.get_minimum_delay()), timelock.events(deployment)
    held = {
        str(getattr(lock, f"{role}_ROLE")()): holders
        for role, holders in (
            ("DEFAULT_ADMIN", {lock.address}),  # the timelock has no call that it could use it for
            ("PROPOSER", {proposer}),
            ("CANCELLER", {proposer, guardian}),
        )
    }
    found = [
        _same("Timelock", "proposer", str(lock.proposer()), proposer),
        _same("Timelock", "guardian", str(lock.guardian()), guardian),
        _true("Timelock", "delay is a day at least", DAY_SECS <= int(lock.MIN_DELAY()) <= delay),
        _same("Timelock", "roles by its events", _sorted(_holders(logged)), _sorted(held)),
    ]
    if delay != int(before):
        text = f"delay is {days(delay)}, was {days(int(before))} at deployment"
        found.append(Finding(grade="note", name="Timelock", text=text))
    for each in timelock.pending(deployment):
        text = f"{timelock.describe(deployment, each.call)} {each.state(head_at())}"
        found.append(Finding(grade="note", name="Timelock", text=text))
    return found


def _holders(events: list[Event]) -> dict[str, set[str]]:
    """Return who holds each role after these events of an access control."""
    held: dict[str, set[str]] = {}
    for event in events:
        if event.name in {"RoleGranted", "RoleRevoked"}:
            holders = held.setdefault("0x" + event["role"].hex(), set())
            change = holders.add if event.name == "RoleGranted" else holders.discard
            change(event["account"])
    return held


def _sorted(held: dict[str, set[str]]) -> list[list[str]]:
    """Return roles and holders in an order that can be compared, without empty ones."""
    lines = [[role, *sorted(map(str.lower, holders))] for role, holders in held.items() if holders]
    return sorted(lines)


def _limits(deployment: Deployment) -> list[Finding]:
    """Check the bounds that everything else rests on."""
    book, vault = contract(deployment, "HedgeBook"), contract(deployment, "HedgeVault")
    oracle, venue = contract(deployment, "PriceOracle"), contract(deployment, "PerpVenue")
    rules = contract(deployment, "LiquidationRules")
    ratio, low, high, limits, fallback = deployment["HedgeBook"].arguments[3:]
    state, oracle_arguments = book.state().dict(), deployment["PriceOracle"].arguments
    terms, live = deployment["LiquidationRules"].arguments[3], rules.terms().dict()
    pays = failing_pays(int(live["premium_cap_wad"]), int(live["penalty_wad"]))
    now = int(state["hedge_ratio_bps"])
    least = mul_div_up(now, int(oracle.deviation_thresholds_bps()), BPS)
    fund = contract(deployment, "InsuranceFund")
    drawn, allotment = int(fund.drawn(venue.address)), int(fund.allotment(venue.address))
    thresholds = int(oracle_arguments[0][2]) + int(oracle_arguments[2][2])
    found = [
        _same("LiquidationRules", "terms", rules.terms(), terms),
        _true("LiquidationRules", "premium cap within the penalty", not pays),
        _same("HedgeBook", "limits", book.limits(), limits),
        _same("HedgeBook", "fallback", book.fallback_terms(), fallback),
        _same("HedgeBook", "lower ratio bound", state["min_hedge_ratio_bps"], low),
        _same("HedgeBook", "upper ratio bound", state["max_hedge_ratio_bps"], high),
        _same("PriceOracle", "max deviation", oracle.max_deviation_bps(), oracle_arguments[4]),
        _same("PriceOracle", "thresholds", oracle.deviation_thresholds_bps(), thresholds),
        _true("HedgeBook", "hedge ratio inside its bounds", low <= now <= high),
        _true("HedgeVault", "base charge covers the feeds", vault.base_charge_bps() >= least),
        _true("InsuranceFund", "draws within an allotment", 0 <= drawn <= allotment > 0),
        _true("HedgeBook", "allotment up to 100 %", 0 < book.allotment_bps(venue.address) <= BPS),
    ]
    if now != int(ratio):
        text = f"hedge ratio is {show_bps(now)}, was {show_bps(int(ratio))} at deployment"
        found.append(Finding(grade="note", name="HedgeBook", text=text))
    good, _, reason = oracle.try_read()
    if not good:
        found.append(Finding(grade="note", name="PriceOracle", text=f"no good price: {reason}"))
    return found


def _pool_is_covered(at: dict[str, Any]) -> bool:
    pool = at["LiquidityPool"]
    quote, assets = pool.holdings()
    held = [int(at[name].balanceOf(pool.address)) for name in ("Quote", "Asset")]
    return held[0] >= quote + pool.quote_escrowed() and held[1] >= assets


def _queue_is_covered(at: dict[str, Any]) -> bool:
    queue = at["RedemptionQueue"]
    shares = int(at["HedgeVault"].balanceOf(queue.address))
    assets = int(at["Asset"].balanceOf(queue.address))
    return shares >= queue.pending_shares() and assets >= queue.reserved_assets()


def _exit_is_covered(at: dict[str, Any]) -> bool:
    leaving = at["ExitInKind"]
    settled = sum(int(leaving.round_of(n)[1]) for n in range(int(leaving.round())))
    return int(at["HedgeVault"].balanceOf(leaving.address)) >= leaving.hollow_shares() + settled


def _same(name: str, what: str, actual: Any, expected: Any) -> Finding:
    if _plain(actual) == _plain(expected):
        return Finding(grade="ok", name=name, text=what)
    text = f"{what} is {_brief(actual)}, expected {_brief(expected)}"
    return Finding(grade="WRONG", name=name, text=text)


def _true(name: str, what: str, holds: bool) -> Finding:
    text = what if holds else f"not true: {what}"
    return Finding(grade="ok" if holds else "WRONG", name=name, text=text)


def _plain(value: Any) -> Any:
    """Return values of chain and manifest in one form: text of leaves, lists of lists."""
    value = portable(value)
    return [_plain(item) for item in value] if isinstance(value, list) else str(value).lower()


def _brief(value: Any) -> str:
    text = str(portable(value))
    return text if len(text) <= 60 else f"{text[:57]}..."
