# SPDX-License-Identifier: MIT
"""The fold over a small history whose every number stands here."""

import copy
import dataclasses

import pytest
from eth_abi.abi import encode
from eth_utils.crypto import keccak

from keeper import abi
from keeper.audit import NO_ADDRESS, Account, Round, Till, Waiting, compare, fold, record_hash
from keeper.errors import CorruptAnswer
from keeper.events import Log, decode_logs

VAULT, BOOK, VENUE, QUEUE, EXIT = ("0x" + digit * 40 for digit in "abcde")
OWNER, KEEPER, GUARDIAN, ALICE, BOB, POOL, FUND = ("0x" + digit * 40 for digit in "1234567")
LOCK = "0x" + "f" * 40
CONTRACTS = {
    VAULT: "HedgeVault",
    BOOK: "HedgeBook",
    VENUE: "PerpVenue",
    QUEUE: "RedemptionQueue",
    EXIT: "ExitInKind",
    LOCK: "Timelock",
}
ADDRESSES = {contract: address for address, contract in CONTRACTS.items()}
PRICE = 2_500 * 10**18
DECISION = b"\x07" * 32
NO_DECISION = bytes(32)

LIMITS = dict.fromkeys(
    [
        "inner_band_bps", "urgent_band_bps", "min_step_bps", "overshoot_bps", "margin_floor_bps",
        "margin_target_bps", "cost_bound_bps", "cost_budget_bps", "turnover_budget_bps",
        "urgent_reserve_bps", "slippage_bps", "urgent_slippage_bps", "cooldown_secs", "max_trade",
        "min_equity", "gap_share_bps", "gap_floor",
    ],
    0,
)  # fmt: skip


def _entry(contract, name):
    return next(e for e in abi.load(contract) if e["type"] == "event" and e["name"] == name)


def _plain(field, value):
    """Structs as tuples, in the order of the ABI; fields left out are zero."""
    if field["type"] == "tuple":
        parts = field["components"]
        return tuple(_plain(part, value.get(part["name"], _zero(part))) for part in parts)
    return value


def _zero(field):
    if field["type"] == "address":
        return NO_ADDRESS
    if field["type"] == "tuple":
        return {}
    return {"bytes32": bytes(32), "bytes": b""}.get(field["type"], 0)


class _History:
    """Builds logs one by one; one block each."""

    def __init__(self):
        self.logs = []

    def add(self, contract, name, **fields):
        entry = _entry(contract, name)
        types = ",".join(abi.type_of(field) for field in entry["inputs"])
        topics, plain = [keccak(text=f"{name}({types})")], []
        for field in entry["inputs"]:
            value = _plain(field, fields.pop(field["name"], _zero(field)))
            if field["indexed"]:
                topics.append(encode([abi.type_of(field)], [value]))
            else:
                plain.append((abi.type_of(field), value))
        assert not fields, f"{name} has no {fields}"
        log = Log(
            address=ADDRESSES[contract],
            topics=tuple(topics),
            data=encode([kind for kind, _ in plain], [value for _, value in plain]),
            block=len(self.logs) + 1,
            index=0,
            tx_hash="0x" + "00" * 32,
        )
        self.logs.append(log)
        return log


def _record(history, head, nonce):
    """A record whose block is that of the next log."""
    parts = next(f for f in _entry("HedgeBook", "Rebalanced")["inputs"] if f["name"] == "record")
    record = {part["name"]: _zero(part) for part in parts["components"]}
    record |= {
        "nonce": nonce,
        "decision_id": DECISION,
        "sender": KEEPER,
        "price_wad": PRICE,
        "hedge_ratio_bps": 10_000,
        "nav_before": 500,
        "nav_after": 499,
        "delta_before": -3,
        "cost": 1,
        "block_number": len(history.logs) + 1,
        "block_at": 1_736_121_600,
    }
    return record, record_hash(head, record)


def _setup(history):
    history.add("HedgeVault", "OwnershipTransferred", new_owner=OWNER)
    history.add("HedgeBook", "OwnershipTransferred", new_owner=OWNER)
    history.add("HedgeBook", "KeeperSet", keeper_after=KEEPER)
    history.add("HedgeBook", "GuardianSet", guardian_after=GUARDIAN)
    history.add(
        "HedgeBook", "LimitsSet", limits_before=LIMITS, limits_after=LIMITS | {"max_trade": 9}
    )
    history.add("HedgeBook", "HedgeRatioBoundsSet", min_after_bps=5_000, max_after_bps=10_500)
    history.add("HedgeBook", "HedgeRatioSet", ratio_after_bps=10_000)
    history.add("HedgeBook", "VaultSet", vault=VAULT)
    history.add("HedgeBook", "VenueAdded", venue=VENUE, allotment_bps=8_000)
    history.add("HedgeVault", "BaseChargeSet", base_charge_after_bps=75)
    history.add("PerpVenue", "VenueOpened", asset=ALICE, quote=BOB, pool=POOL, fund=FUND)


def _deposit(history, account, assets, shares, supply, idle):
    history.add("HedgeVault", "Transfer", sender=NO_ADDRESS, receiver=account, value=shares)
    history.add(
        "HedgeVault", "FlowPriced", account=account, assets=assets, shares=shares,
        price_wad=PRICE, supply_before=supply, idle_assets_after=idle,
    )  # fmt: skip


def _rebalance(history, head):
    """40 of 100 idle become margin, a short of 95 is opened, 5 are sold on the spot market."""
    history.add("HedgeVault", "IdleMoved", assets=-40, idle_assets_after=60)
    history.add("PerpVenue", "MarginDeposited", account=BOOK, assets=40, assets_after=40)
    history.add(
        "PerpVenue", "Traded", account=BOOK, size=-95, size_after=-95, entry_after=-237_000,
        quote_after=-119,
    )  # fmt: skip
    history.add(
        "HedgeBook", "HedgeTraded", decision_id=DECISION, venue=VENUE, size=-95, delta_after=-95
    )
    history.add(
        "HedgeBook", "MarginMoved", decision_id=DECISION, venue=VENUE, assets=40, assets_after=40
    )
    history.add("HedgeVault", "IdleMoved", assets=-5, idle_assets_after=55)
    history.add(
        "HedgeBook", "SpotTraded", decision_id=DECISION, assets=-5, quote=12_400,
        idle_quote_after=12_400,
    )  # fmt: skip
    record, head = _record(history, head, 0)
    history.add("HedgeBook", "Rebalanced", decision_id=DECISION, record=record, audit_head=head)
    return head


def _exit_through_margin(history):
    """Bob burns 45,000 of 100,000 shares; 60 assets go out, 5 of them freed from margin."""
    history.add("HedgeVault", "Transfer", sender=BOB, receiver=NO_ADDRESS, value=45_000)
    history.add(
        "PerpVenue", "MarginWithdrawn", account=BOOK, receiver=VAULT, assets=5, funding=2,
        assets_after=35, quote_before=-121, quote_after=-121,
    )  # fmt: skip
    history.add(
        "HedgeBook", "MarginMoved", decision_id=NO_DECISION, venue=VENUE, assets=-5,
        assets_after=35, idle_quote_after=12_400,
    )  # fmt: skip
    history.add(
        "HedgeVault", "FlowPriced", account=BOB, assets=-60, shares=-45_000, price_wad=PRICE,
        supply_before=100_000, idle_assets_after=0,
    )  # fmt: skip


def _queue(history):
    """
    Alice asks for 20,000 at 18 assets or more and gets 10 for half of it, then 5 for a quarter;
    the rest waits. Bob asks twice and is paid 3 for the first; he cancels the second.
    """
    for number, owner, shares, least, pending in (
        (0, ALICE, 20_000, 18, 20_000),
        (1, BOB, 4_000, 0, 24_000),
        (2, BOB, 9, 0, 24_009),
    ):
        history.add(
            "RedemptionQueue", "RedemptionRequested", id=number, owner=owner, shares=shares,
            min_assets=least, pending_shares_after=pending,
        )  # fmt: skip
    for number, owner, shares, assets, after, least, claim, pending, reserved in (
        (0, ALICE, 10_000, 10, 10_000, 8, 10, 14_009, 10),
        (0, ALICE, 5_000, 5, 5_000, 3, 15, 9_009, 15),
        (1, BOB, 4_000, 3, 0, 0, 3, 5_009, 18),
    ):
        history.add(
            "RedemptionQueue", "RedemptionFilled", id=number, owner=owner, shares=shares,
            assets=assets, shares_after=after, min_assets_after=least, claim_after=claim,
            pending_shares_after=pending, reserved_assets_after=reserved,
        )  # fmt: skip
    history.add("RedemptionQueue", "ClaimPaid", owner=ALICE, assets=15, reserved_assets_after=3)
    history.add(
        "RedemptionQueue", "RedemptionCancelled", id=2, owner=BOB, shares=9,
        pending_shares_after=5_000,
    )  # fmt: skip


@pytest.fixture
def history():
    built = _History()
    _setup(built)
    _deposit(built, ALICE, 50, 50_000, 0, 50)
    _deposit(built, BOB, 50, 50_000, 50_000, 100)
    head = _rebalance(built, bytes(32))
    _exit_through_margin(built)
    _queue(built)
    record, head = _record(built, head, 1)
    built.add(
        "HedgeBook", "Rebalanced", decision_id=DECISION, nonce=1, record=record, audit_head=head
    )
    return built


def _folded(logs):
    return fold(decode_logs(logs, CONTRACTS))


def test_fold__whole_history__adds_up(history):
    ledger = _folded(history.logs)
    assert ledger.faults == []
    assert ledger.holders() == {ALICE: 50_000, BOB: 5_000}
    assert (ledger.idle_assets, ledger.idle_quote) == (0, 12_400)
    assert ledger.accounts[VENUE, BOOK] == Account(assets=35, quote=-121, size=-95, entry=-237_000)
    assert (ledger.nonce, ledger.hedge_ratio_bps, ledger.limits["max_trade"]) == (2, 10_000, 9)
    assert ledger.allotments == {VENUE: 8_000}
    assert (ledger.keeper, ledger.guardian, ledger.vault) == (KEEPER, GUARDIAN, VAULT)
    assert ledger.owners == {"HedgeVault": OWNER, "HedgeBook": OWNER}
    assert ledger.rebalanced_at == 1_736_121_600
    assert ledger.requests == {
        0: Waiting(owner=ALICE, shares=5_000, min_assets=3), 1: Waiting(), 2: Waiting()
    }  # fmt: skip
    assert (ledger.request_count, ledger.pending_shares) == (3, 5_000)
    assert ledger.claims == {ALICE: 0, BOB: 3}
    assert ledger.reserved_assets == 3


def test_fold__request_that_lapses__is_over(history):
    history.add(
        "RedemptionQueue", "RedemptionLapsed", id=0, owner=ALICE, shares=5_000,
        pending_shares_after=0,
    )  # fmt: skip
    ledger = _folded(history.logs)
    assert ledger.faults == []
    assert ledger.requests[0] == Waiting()
    assert ledger.pending_shares == 0


def test_fold__fill_of_another_owner__is_found(history):
    history.add(
        "RedemptionQueue", "RedemptionFilled", id=0, owner=BOB, shares=5_000, assets=1,
        claim_after=4, reserved_assets_after=4,
    )  # fmt: skip
    (fault,) = _folded(history.logs).faults
    assert fault.endswith(f"owner is {BOB}, the events before give {ALICE}")


def _timelock(history):
    """A timelock of 9 s and three operations: one executed, one cancelled, one that waits."""
    history.add("Timelock", "MinimumDelayChange", new_duration=9)
    history.add("Timelock", "ProposerSet", proposer_after=ALICE)
    history.add("Timelock", "GuardianSet", guardian_after=BOB)
    for number, delay in ((b"\x01" * 32, 9), (b"\x02" * 32, 10), (b"\x03" * 32, 9)):
        call = {"target": BOOK, "payload": number[:4]}
        history.add("Timelock", "CallScheduled", id=number, delay=delay, **call)
    history.add("Timelock", "CallExecuted", id=b"\x01" * 32, target=BOOK, payload=b"\x01" * 4)
    history.add("Timelock", "Cancelled", id=b"\x02" * 32)


def test_fold__timelock__operations_and_roles(history):
    _timelock(history)
    ledger = _folded(history.logs)
    assert ledger.faults == []
    assert (ledger.proposer, ledger.canceller, ledger.delay_secs) == (ALICE, BOB, 9)
    states = {f"0x{digit * 32}": state for digit, state in (
        ("01", "executed"), ("02", "cancelled"), ("03", "waiting"),
    )}  # fmt: skip
    assert ledger.operations == states
    assert ledger.owner_words() == (
        f"owner {OWNER}, a timelock of 9 s: operations 1 executed, 1 cancelled, 1 waiting"
    )
    history.add("Timelock", "CallScheduled", id=b"\x02" * 32, target=BOOK, delay=9)
    assert _folded(history.logs).faults == []  # what was cancelled may be proposed anew


@pytest.mark.parametrize(
    ("name", "fields", "fault"),
    [
        ("CallExecuted", {"id": b"\x04" * 32}, "is waiting, the events before give None"),
        ("CallExecuted", {"id": b"\x01" * 32, "target": BOOK, "payload": b"\x01" * 4},
         "is waiting, the events before give executed"),
        ("CallExecuted", {"id": b"\x02" * 32, "target": BOOK, "payload": b"\x02" * 4},
         "is waiting, the events before give cancelled"),
        ("CallExecuted", {"id": b"\x03" * 32, "target": VAULT, "payload": b"\x03" * 4},
         "call of 0x" + "03" * 32),
        ("CallScheduled", {"id": b"\x03" * 32, "delay": 9}, "is cancelled, the events before give"),
        ("CallScheduled", {"id": b"\x05" * 32, "delay": 8}, "least delay is 8, the events before"),
        ("Cancelled", {"id": b"\x01" * 32}, "is waiting, the events before give executed"),
        ("MinimumDelayChange", {"old_duration": 8, "new_duration": 9}, "delay before is 8"),
        ("ProposerSet", {"proposer_before": BOB}, "proposer before is"),
        ("GuardianSet", {"guardian_before": ALICE}, "guardian before is"),
    ],
)  # fmt: skip
def test_fold__timelock_that_contradicts_itself__found(history, name, fields, fault):
    _timelock(history)
    history.add("Timelock", name, **fields)
    (line,) = _folded(history.logs).faults
    assert fault in line


def test_fold__logs_out_of_order__same_ledger(history):
    assert _folded(reversed(history.logs)) == _folded(history.logs)


def test_fold__liquidation__moves_size_to_the_backstop(history):
    history.add(
        "PerpVenue", "AccountLiquidated", account=BOOK, liquidator=ALICE, quote_before=-121,
        reward=7, liquidator_quote_after=7, pool_claim_after=293,
        outcome={
            "size": -50, "size_after": -45, "entry_after": -112_000, "quote_after": -300,
            "assets_sold": 1, "backstop_size_after": -50, "backstop_entry_after": -125_000,
        },
    )  # fmt: skip
    ledger = _folded(history.logs)
    assert ledger.faults == []
    assert ledger.accounts[VENUE, BOOK] == Account(assets=34, quote=-300, size=-45, entry=-112_000)
    assert ledger.accounts[VENUE, POOL] == Account(size=-50, entry=-125_000)
    assert ledger.accounts[VENUE, ALICE] == Account(quote=7)


def test_fold__till__what_is_nobody_elses_is_the_pools(history):
    """
    Alice brings 1,000; Bob trades for a fee of 10, of which 2 are the fund's. The venue holds
    1,000: Alice's, less 10 that Bob owes, less 121 that the book owes, 2 of the fund, so 129 are
    the pool's. It is sent 129 - 131 of loans, that is, it sends 2; then the fund is paid.
    """
    history.add("PerpVenue", "MarginDeposited", account=ALICE, quote=1_000, quote_after=1_000)
    history.add(
        "PerpVenue", "Traded", account=BOB, size=1, size_after=1, entry_after=2_500, fee=10,
        fund_fee=2, quote_after=-10,
    )  # fmt: skip
    assert _folded(history.logs).tills == {
        VENUE: Till(quote_held=1_000, fund_claim=2, pool_claim=129)
    }
    history.add("PerpVenue", "PoolSettled", quote=-2, pool_claim_after=131, quote_held_after=1_002)
    history.add(
        "PerpVenue", "FundPaid", quote=2, pool_claim_after=131, fund_claim_after=0,
        quote_held_after=1_000,
    )  # fmt: skip
    ledger = _folded(history.logs)
    assert ledger.faults == []
    assert ledger.tills == {VENUE: Till(quote_held=1_000, fund_claim=0, pool_claim=131)}


def test_fold__insurance__its_claim_at_the_venue_goes_first(history):
    """The fund has 3 here and pays 8: 5 tokens arrive, and a penalty of 1 was its own before."""
    history.add(
        "PerpVenue", "Traded", account=BOB, size=1, size_after=1, fee=2, fund_fee=2, quote_after=-2
    )
    history.add(
        "PerpVenue", "AccountLiquidated", account=BOB, liquidator=ALICE, quote_before=-2,
        covered=8, fund_claim_after=0, pool_claim_after=126,
        outcome={"size": 1, "fund_penalty": 1, "backstop_size_after": 1},
    )  # fmt: skip
    ledger = _folded(history.logs)
    assert ledger.faults == []
    assert ledger.tills == {VENUE: Till(quote_held=5, fund_claim=0, pool_claim=126)}


def test_fold__any_event_missing__is_found(history):
    """By a later event, or, for the last of its kind, by comparison with the state."""
    state = _folded(history.logs)
    for i, log in enumerate(history.logs):
        ledger = _folded(history.logs[:i] + history.logs[i + 1 :])
        name = decode_logs([log], CONTRACTS)[0].name
        if name == "VenueOpened":  # its terms are immutable; it matters once someone fails
            continue
        assert ledger.faults or compare(ledger, state), f"{name} may go missing"


def test_fold__doubled_event__is_found(history):
    for i, log in enumerate(history.logs):
        again = dataclasses.replace(log, index=1)
        ledger = _folded([*history.logs[:i], log, again, *history.logs[i + 1 :]])
        name = decode_logs([log], CONTRACTS)[0].name
        if name != "VenueOpened":
            assert ledger.faults or compare(ledger, _folded(history.logs)), f"{name} may come twice"


def test_fold__flipped_byte_in_a_record__breaks_the_chain(history):
    """Every byte of a rebalance is under the hash."""
    rebalanced = [i for i, log in enumerate(history.logs) if len(log.data) == 18 * 32]
    assert len(rebalanced) == 2
    at = rebalanced[0]
    log = history.logs[at]
    for byte in range(len(log.data)):
        altered = bytearray(log.data)
        altered[byte] ^= 1
        logs = copy.copy(history.logs)
        logs[at] = dataclasses.replace(log, data=bytes(altered))
        try:
            ledger = _folded(logs)
        except CorruptAnswer:
            continue  # no longer decodes, as an address with bits over 160
        assert any("audit head" in fault for fault in ledger.faults), f"byte {byte}"


def test_fold__altered_amount__says_where_and_what(history):
    """Of 100 idle assets 40 go out, then 5; the event of the second is made to say 6."""
    at = max(
        i for i, log in enumerate(history.logs) if len(log.data) == 64 and log.address == VAULT
    )
    log = history.logs[at]
    history.logs[at] = dataclasses.replace(log, data=encode(["int256", "uint256"], [-6, 55]))
    fault = "HedgeVault.IdleMoved: idle assets is 55, the events before give 54"
    assert _folded(history.logs).faults == [f"block {log.block} log 0 {fault}"]


def test_compare__state_differs__one_line_for_each(history):
    ledger, state = _folded(history.logs), _folded(history.logs)
    state.idle_assets += 1
    state.shares[ALICE] -= 1
    state.accounts[VENUE, BOOK].size = 0
    state.accounts[VENUE, ALICE] = Account()  # empty: the same as none
    before = "Account(assets=35, quote=-121, size=-95, entry=-237000)"
    after = "Account(assets=35, quote=-121, size=0, entry=-237000)"
    assert compare(ledger, state) == [
        f"shares {ALICE}: the events give 50000, the chain 49999",
        "idle_assets: the events give 0, the chain 1",
        f"accounts {VENUE} {BOOK}: the events give {before}, the chain {after}",
    ]
    assert compare(ledger, _folded(history.logs)) == []


def test_decode__unknown_topic__refused():
    log = Log(address=VAULT, topics=(b"\1" * 32,), data=b"", block=3, index=2, tx_hash="0x")
    with pytest.raises(CorruptAnswer, match="block 3 log 2: HedgeVault has no such event"):
        decode_logs([log], CONTRACTS)


def test_decode__short_data__refused(history):
    log = dataclasses.replace(history.logs[-1], data=history.logs[-1].data[:-1])
    with pytest.raises(CorruptAnswer, match=r"HedgeBook\.Rebalanced"):
        decode_logs([log], CONTRACTS)


def test_decode__two_logs_at_one_place__refused(history):
    with pytest.raises(CorruptAnswer, match="two logs stand at one place"):
        decode_logs([history.logs[0], history.logs[0]], CONTRACTS)


def _left_in_kind(history):
    """
    Alice leaves with 30,000 of her 50,000 for 0 assets and 400 of quote. Of 30,000 hollow shares
    12,000 become full; she gives 5,000 claims to Bob, and he redeems them for 2,000 shares.
    """
    history.add("ExitInKind", "Transfer", receiver=ALICE, amount=30_000)
    history.add("HedgeVault", "Transfer", sender=ALICE, receiver=EXIT, value=30_000)
    history.add("HedgeVault", "PaidInKind", owner=ALICE, shares=30_000, idle_assets_after=0)
    history.add("HedgeBook", "QuotePaidInKind", quote=400, idle_quote_after=12_000)
    history.add("ExitInKind", "ExitedInKind", owner=ALICE, shares=30_000, hollow_after=30_000)
    history.add("ExitInKind", "ExitsSettled", hollow=30_000, shares=12_000)
    history.add("HedgeVault", "Transfer", sender=EXIT, receiver=NO_ADDRESS, value=18_000)
    history.add("HedgeVault", "SettledInKind", burned_shares=18_000, supply_after=37_000)
    history.add("ExitInKind", "Transfer", sender=ALICE, receiver=BOB, amount=5_000)
    history.add("ExitInKind", "Transfer", sender=BOB, amount=5_000)
    history.add(
        "ExitInKind", "ClaimsRedeemed", claims=5_000, shares=2_000,
        claims_after=25_000, shares_after=10_000,
    )  # fmt: skip
    history.add("HedgeVault", "Transfer", sender=EXIT, receiver=BOB, value=2_000)


def test_fold__exit_in_kind__adds_up(history):
    _left_in_kind(history)
    ledger = _folded(history.logs)
    assert ledger.faults == []
    assert ledger.idle_quote == 12_000
    assert ledger.holders() == {ALICE: 20_000, BOB: 7_000, EXIT: 10_000}
    assert (ledger.exit_round, ledger.hollow_shares) == (1, 0)
    assert ledger.exit_rounds == {0: Round(claims=25_000, shares=10_000)}
    assert ledger.exit_claims == {(0, ALICE): 25_000, (0, BOB): 0}


@pytest.mark.parametrize(
    ("missing", "what"),
    [
        (0, "claims of the round"),
        (3, None),
        (4, "hollow shares"),
        (6, "supply"),
        (8, "claims sent"),
        (10, None),
    ],
)
def test_fold__event_of_an_exit_in_kind_missing__is_found(history, missing, what):
    before = len(history.logs)
    _left_in_kind(history)
    left = [log for n, log in enumerate(history.logs) if n != before + missing]
    ledger = _folded(left)
    if what is None:  # the last of its kind shows against the chain
        assert ledger.faults == []
        assert compare(ledger, _folded(history.logs)) != []
    else:
        assert any(what in fault for fault in ledger.faults), ledger.faults
