# SPDX-License-Identifier: MIT
"""
G-01: Drift, 1 April 2026: an admin's key listed false collateral and switched the guards off.

Here the key is the proposer's. What its thief asks the timelock for is public for the delay, in
which the guardian cancels it and depositors leave; no call of his changes more than one thing, and
none touches oracle, guard or the venue's terms, which nobody can change.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import boa
import pytest

from tests.access_tables import NAMES, table
from tests.market_world import deployer
from tests.timelock_world import DELAY, Operation
from tests.vault_world import DAY, FALLBACK, LIMIT_NAMES, VaultWorld, vault_world

NOT_READY = "timelock_controller: operation is not ready"


@dataclass(frozen=True)
class System:
    """A hedged vault whose owner is a timelock, and the thief who has the proposer's key."""

    world: VaultWorld
    timelock: Any
    thief: str
    accomplice: str
    venue: str  # his own, to be listed

    def contract(self, name: str) -> Any:
        """Return a contract by the name of its source."""
        base = self.world.base
        return {
            "HedgeVault": self.world.vault,
            "HedgeBook": self.world.book,
            "BookControl": self.world.book,
            "InsuranceFund": base.fund,
            "LiquidityPool": base.pool,
            "Timelock": self.timelock,
        }[name]

    def operation(self, name: str, function: str) -> Operation:
        """Return the worst call that the thief can think of."""
        contract = self.contract(name)
        payload = getattr(contract, function).prepare_calldata(*WORST[name, function](self))
        return Operation(contract.address, payload)

    def schedule(self, operation: Operation) -> bytes:
        """Ask for it with the stolen key."""
        self.timelock.schedule(*operation.words(), DELAY, sender=self.thief)
        return bytes(self.timelock.hash_operation(*operation.words()))

    def state(self) -> dict[str, Any]:
        """Return everything that anybody might change, by its name."""
        world, base = self.world, self.world.base
        book, vault = world.book, world.vault
        state, owned = world.state(), (vault, book, base.fund, base.pool)
        rules = deployer("LiquidationRules.vy").at(base.venue.RULES())
        return {
            "oracle": tuple(map(str, (book.oracle(), base.venue.ORACLE(), base.pool.ORACLE()))),
            "guard": (str(book.guard()), boa.env.get_code(book.guard())),
            "venue terms": tuple(rules.terms()),
            "places": tuple(
                map(str, (book.vault(), book.spot(), vault.queue(), base.pool.venue()))
            ),
            "limits": tuple(book.limits()),
            "fallback": tuple(book.fallback_terms()),
            "ratio": state["hedge_ratio_bps"],
            "bounds": (state["min_hedge_ratio_bps"], state["max_hedge_ratio_bps"]),
            "unwinds": state["unwinds"],
            "pauses": (state["paused_until"], vault.entry_paused_until()),
            "venues": [str(book.venues(i)) for i in range(book.venue_count())],
            "allotment": book.allotment_bps(world.venue.address),
            "keeper": str(book.keeper()),
            "guardian": str(book.guardian()),
            "base charge": vault.base_charge_bps(),
            "fund": [(str(v), base.fund.allotment(v)) for v in base.fund.venues()],
            "owners": [str(each.owner()) for each in owned],
            "offers": [str(each.pending_owner()) for each in owned],
            "delay": self.timelock.get_minimum_delay(),
            "proposer": str(self.timelock.proposer()),
            "canceller": str(self.timelock.guardian()),
        }


def loose(system: System) -> tuple[int, ...]:
    """Return limits under which nearly everything passes."""
    limits = system.world.limits | {
        "slippage_bps": 500,
        "urgent_slippage_bps": 500,
        "cost_bound_bps": 500,
        "cooldown_secs": 0,
    }
    return tuple(limits[name] for name in LIMIT_NAMES)


# Each call of the owner and of the timelock itself, with what a thief would ask for.
WORST: dict[tuple[str, str], Callable[[System], tuple[Any, ...]]] = {
    ("BookControl", "start_unwind"): lambda _: (),
    ("BookControl", "lift_rebalancing_pause"): lambda _: (),
    ("BookControl", "set_allotment"): lambda s: (s.world.venue.address, 10_000),
    ("BookControl", "set_limits"): lambda s: (loose(s),),
    ("BookControl", "set_hedge_ratio"): lambda _: (7_500,),
    ("BookControl", "set_hedge_ratio_bounds"): lambda _: (0, 10_000),
    ("BookControl", "set_fallback"): lambda _: ((*FALLBACK[:2], 10 * FALLBACK[2]),),
    ("BookControl", "set_keeper"): lambda s: (s.thief,),
    ("BookControl", "set_guardian"): lambda s: (s.thief,),
    ("BookControl", "add_venue"): lambda s: (s.venue, 10_000),
    ("BookControl", "set_vault"): lambda s: (s.accomplice,),
    ("HedgeBook", "transfer_ownership"): lambda s: (s.thief,),
    ("HedgeVault", "lift_entry_pause"): lambda _: (),
    ("HedgeVault", "set_base_charge"): lambda _: (100,),
    ("HedgeVault", "transfer_ownership"): lambda s: (s.thief,),
    ("InsuranceFund", "register"): lambda s: (s.venue, 2**90),
    ("InsuranceFund", "transfer_ownership"): lambda s: (s.thief,),
    ("LiquidityPool", "set_venue"): lambda s: (s.venue,),
    ("LiquidityPool", "transfer_ownership"): lambda s: (s.thief,),
    ("Timelock", "update_delay"): lambda _: (DAY,),
    ("Timelock", "set_proposer"): lambda s: (s.accomplice,),
    ("Timelock", "set_guardian"): lambda s: (s.accomplice,),
}
# What may differ after a call; what is not here changes one thing, of its own name, or nothing.
CHANGES = {
    "start_unwind": {"unwinds", "ratio", "bounds"},
    "lift_rebalancing_pause": {"pauses"},
    "lift_entry_pause": {"pauses"},
    "set_allotment": {"allotment"},
    "set_limits": {"limits"},
    "set_hedge_ratio": {"ratio"},
    "set_hedge_ratio_bounds": {"bounds"},
    "set_fallback": {"fallback"},
    "set_keeper": {"keeper"},
    "set_guardian": {"guardian"},
    "add_venue": {"venues"},
    "set_vault": set(),  # once, at the deployment
    "set_venue": set(),  # the same
    "set_base_charge": {"base charge"},
    "register": {"fund"},
    "transfer_ownership": {"offers"},
    "update_delay": {"delay"},
    "set_proposer": {"proposer"},
}
ONCE = {"set_vault": "book: vault is set", "set_venue": "pool: venue already set"}


@pytest.fixture(scope="module")
def built():
    """Built once; both pauses run, so that lifting them shows."""
    with boa.env.anchor():
        world = vault_world()
        thief, accomplice = (str(boa.env.generate_address(n)) for n in ("thief", "accomplice"))
        timelock = deployer("Timelock.vy").deploy(DELAY, thief, world.guardian)
        owned = world.vault, world.book, world.base.fund, world.base.pool
        for contract in owned:
            contract.transfer_ownership(timelock.address)
        timelock.accept_ownerships([contract.address for contract in owned])
        base = world.base
        venue = deployer("testing/SettableVenue.vy").deploy(
            base.asset.address, base.quote.address, base.oracle.address
        )
        holder = world.depositor("holder")
        world.deposit(holder, 20)
        world.deposit(world.depositor("another"), 40)
        world.hedge()
        yield System(world, timelock, thief, accomplice, venue.address), holder


@pytest.fixture
def system(built):
    with boa.env.anchor():
        yield built[0]


@pytest.fixture
def holder(built):
    return built[1]


def test_g01__calls_that_wait__are_all_tried_here():
    waiting = {(name, row.function) for name in NAMES for row in table(name) if row.waits}
    assert waiting == set(WORST)


def test_g01__thief_and_guardian__nothing_changes_and_nothing_is_left(system):
    before = system.state()
    operations = [system.operation(*call) for call in WORST]
    ids = [system.schedule(operation) for operation in operations]
    for waited in (1, DELAY - 2):  # to the last second before
        boa.env.time_travel(seconds=waited)
        for operation in operations:
            with boa.reverts(NOT_READY):
                system.timelock.execute(*operation.words(), sender=system.thief)
        assert system.state() == before
    for id_ in ids:
        system.timelock.cancel(id_, sender=system.world.guardian)
    boa.env.time_travel(seconds=DAY)
    for operation in operations:
        with boa.reverts(NOT_READY):
            system.timelock.execute(*operation.words(), sender=system.thief)
    assert system.state() == before


def test_g01__thief__calls_nothing_directly(system):
    """With the key of the proposer nothing that waits can be called without waiting."""
    before = system.state()
    for call in WORST:
        operation = system.operation(*call)
        done = boa.env.execute_code(
            to_address=operation.target, sender=system.thief, data=operation.payload
        )
        assert done.is_error
        assert b"caller is not" in done.output, call
    assert system.state() == before


@pytest.mark.parametrize(("name", "function"), WORST)
def test_g01__nobody_looks__one_call_still_changes_one_thing(system, name, function):
    """Never two of oracle, caps and guard; the first and the last cannot be changed at all."""
    world = system.world
    operation = system.operation(name, function)
    system.schedule(operation)
    world.pass_time(DELAY)
    world.book.pause_rebalancing(DAY, sender=world.guardian)
    world.vault.pause_entry(DAY, sender=world.guardian)
    before = system.state()
    if function in ONCE:
        with boa.reverts(ONCE[function]):
            system.timelock.execute(*operation.words())
    else:
        system.timelock.execute(*operation.words())
    after = system.state()
    expected = {"canceller"} if (name, function) == ("Timelock", "set_guardian") else None
    assert {part for part in before if before[part] != after[part]} == (
        CHANGES[function] if expected is None else expected
    )


def test_g01__depositor_who_reads_the_proposal__is_out_before_it_happens(system, holder):
    """Through the queue, which is the slower way."""
    world = system.world
    due_at = boa.env.timestamp + DELAY
    system.schedule(system.operation("BookControl", "add_venue"))
    shares = world.vault.balanceOf(holder)
    worth = world.vault.convertToAssets(shares)
    world.request(holder, shares)
    world.become_due()
    world.queue.process(1)
    paid = world.queue.claim(holder)
    assert boa.env.timestamp < due_at - DAY
    assert world.vault.balanceOf(holder) == 0
    assert paid >= worth * 98 // 100
