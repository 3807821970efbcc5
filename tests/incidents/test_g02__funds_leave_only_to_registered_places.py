# SPDX-License-Identifier: MIT
"""
G-02: Stream, November 2025: a manager outside the chain was sent 93 M$ and lost them.

Whatever keeper, owner, guardian and strangers try, tokens leave vault, book and queue only to each
other, to registered venues, to the spot market, to who redeems or whom he names, to the owner of a
claim, and as a reward within its cap. Every transfer of either token is looked at.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import boa
import pytest
from boa import BoaError
from hypothesis import given
from hypothesis import strategies as st

from tests.market_world import deployer
from tests.vault_world import DAY, FALLBACK, Leg, VaultWorld, add_settable_venue, vault_world

WAD = 10**18
TRANSFER = bytes.fromhex("ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef")
STEPS = 12


def word(address: str) -> str:
    """Return an address in lower case."""
    return str(address).lower()


@dataclass(frozen=True)
class Scene:
    """A hedged vault with two venues, and everybody who might want its tokens."""

    world: VaultWorld
    timelock: Any
    proposer: str
    holder: str
    thief: str
    places: dict[str, str]  # by lower-case address, what it is
    seen: Counter[str]

    def accounts(self) -> list[str]:
        """Return every address that a call may name or come from."""
        world = self.world
        return [
            self.thief,
            self.holder,
            self.proposer,
            world.keeper,
            world.guardian,
            self.timelock.address,
            *self.places,
            world.asset.address,
            world.quote.address,
            world.guard.address,
        ]

    def transfers(self, contract: Any) -> list[tuple[str, str, str, int]]:
        """Return token, sender, receiver and amount of each transfer of the last call."""
        tokens = {word(self.world.asset.address): "asset", word(self.world.quote.address): "quote"}
        found = []
        for _, emitter, topics, data in contract._computation.get_raw_log_entries():
            token = tokens.get("0x" + emitter.hex())
            if token is not None and topics[0] == int.from_bytes(TRANSFER):
                sender, receiver = (f"0x{topic:040x}" for topic in topics[1:3])
                found.append((token, sender, receiver, int.from_bytes(data)))
        return found

    def call(
        self, contract: Any, function: str, *arguments: Any, sender: str, to: str = ""
    ) -> None:
        """Make a call that may fail, and look at where tokens went; `to` is whom it may pay."""
        method = getattr(contract, function)
        called = getattr(contract, "called", contract)
        try:
            method(*arguments, sender=sender)
        except BoaError:
            self.seen["refused"] += 1
            return
        self.seen[function] += 1
        for token, payer, receiver, amount in self.transfers(called):
            own = self.places.get(payer) in {"vault", "book", "queue"}
            if not own or receiver in self.places:
                self.seen[f"to {self.places.get(receiver, 'others')}"] += own
                continue
            paid = (function, token, payer, receiver, amount)
            assert receiver == word(to), paid
            assert function != "fall_back" or amount <= FALLBACK[2], paid
            self.seen[f"paid by {function}"] += 1


@pytest.fixture(scope="module")
def scene():
    with boa.env.anchor():
        world = vault_world(cooldown_secs=0)
        thief, proposer = (str(boa.env.generate_address(n)) for n in ("thief", "proposer"))
        second = add_settable_venue(world)
        timelock = deployer("Timelock.vy").deploy(2 * DAY, proposer, world.guardian)
        owned = world.vault, world.book, world.base.fund, world.base.pool
        for contract in owned:
            contract.transfer_ownership(timelock.address)
        timelock.accept_ownerships([contract.address for contract in owned])
        holder = world.depositor("holder")
        world.deposit(holder, 60)
        world.vault.approve(world.queue.address, 2**255, sender=holder)
        world.hedge()
        places = {
            world.vault.address: "vault",
            world.book.address: "book",
            world.queue.address: "queue",
            world.venue.address: "venue",
            second.address: "venue",
            world.spot.address: "spot",
        }
        places = {word(address): name for address, name in places.items()}
        yield Scene(world, timelock, proposer, holder, thief, places, Counter())


def step(scene: Scene, draw: st.DrawFn) -> None:
    """Do one thing that somebody might try."""
    actor = draw(st.sampled_from(sorted(ACTORS)))
    ACTORS[actor](scene, draw)


def keeper(scene: Scene, draw: st.DrawFn) -> None:
    """A plan of one or two legs, for any address as the venue."""
    world, idle = scene.world, scene.world.vault.idle_assets()
    legs = [
        Leg(
            margin_assets=draw(st.sampled_from([0, idle // 9, -idle // 9, world.margin().assets])),
            margin_quote=draw(st.sampled_from([0, 0, 10**6, -(10**6)])),
            size=draw(st.sampled_from([0, -world.gap(), world.assets(1), -world.assets(5)])),
            venue=draw(st.sampled_from([None, *scene.accounts()])),
        )
        for _ in range(draw(st.integers(0, 2)))
    ]
    spot = draw(st.sampled_from([0, 0, -world.assets("0.5"), world.assets("0.5")]))
    plan = world.plan(*legs, spot_assets=spot, spot_after=len(legs))
    sender = draw(st.sampled_from([world.keeper, world.keeper, world.keeper, scene.thief]))
    scene.call(world.book, "rebalance", plan, sender=sender)


def depositor(scene: Scene, draw: st.DrawFn) -> None:
    """Come, go, ask, be served: receivers are anybody, the shares the holder's."""
    world, vault, queue = scene.world, scene.world.vault, scene.world.queue
    receiver = draw(st.sampled_from([scene.thief, scene.holder, *scene.accounts()]))
    sender = draw(st.sampled_from([scene.holder, scene.holder, scene.thief]))
    assets = world.assets(draw(st.sampled_from(["0.1", "1", "7"])))
    shares = assets * 1_000
    kind = draw(st.integers(0, 6))
    if kind == 0:
        scene.call(vault, "deposit", assets, scene.holder, sender=sender)
    elif kind in {1, 2}:  # to whom the owner of the shares says, and only if he says it
        to = receiver if sender == scene.holder else ""
        name, amount = ("withdraw", assets) if kind == 1 else ("redeem", shares)
        scene.call(vault, name, amount, receiver, scene.holder, sender=sender, to=to)
    elif kind == 3:
        scene.call(queue, "request", shares, 0, sender=sender)
    elif kind == 4:
        scene.call(queue, "process", 5, sender=scene.thief)
    elif kind == 5:
        owner = draw(st.sampled_from([scene.holder, scene.thief]))
        scene.call(queue, "claim", owner, sender=sender, to=owner)
    else:
        scene.call(queue, "cancel", draw(st.integers(0, 2)), sender=sender)


def owner(scene: Scene, draw: st.DrawFn) -> None:
    """List the thief as a venue and the like; executed before its time, or called directly."""
    book, thief, lock = scene.world.book, scene.thief, scene.timelock
    function, arguments = draw(
        st.sampled_from(
            [
                ("add_venue", (thief, 10_000)),
                ("set_keeper", (thief,)),
                ("set_guardian", (thief,)),
                ("set_vault", (thief,)),
                ("set_allotment", (scene.world.venue.address, 10_000)),
                ("transfer_ownership", (thief,)),
            ]
        )
    )
    contract = draw(st.sampled_from([book, scene.world.vault, lock]))
    if draw(st.booleans()) and hasattr(contract, function):
        scene.call(contract, function, *arguments, sender=scene.proposer)
        return
    payload = getattr(book, function).prepare_calldata(*arguments)
    words = book.address, 0, payload, bytes(32), bytes(32)
    scene.call(lock, "schedule", *words, 2 * DAY, sender=scene.proposer)
    scene.world.pass_time(draw(st.sampled_from([1, 60, DAY])))
    scene.call(lock, "execute", *words, sender=scene.proposer)
    scene.call(lock, "cancel", lock.hash_operation(*words), sender=scene.world.guardian)


def guardian(scene: Scene, draw: st.DrawFn) -> None:
    """All that he may do, and the vault's own calls, which he may not make."""
    world, sender = scene.world, scene.world.guardian
    amount = world.assets(1)
    contract, function, arguments = draw(
        st.sampled_from(
            [
                (world.book, "pause_rebalancing", (DAY,)),
                (world.book, "lift_rebalancing_pause", ()),
                (world.vault, "pause_entry", (DAY,)),
                (world.vault, "lift_entry_pause", ()),
                (world.book, "set_allotment", (world.venue.address, 5_000)),
                (world.book, "start_unwind", ()),
                (world.vault, "release", (amount,)),
                (world.vault, "credit", (amount,)),
                (world.book, "free_margin", (amount, world.price())),
            ]
        )
    )
    scene.call(contract, function, *arguments, sender=sender)


def stranger(scene: Scene, draw: st.DrawFn) -> None:
    """The keeper's work in his place, for any reward to anybody, and a share of the tokens."""
    world, thief = scene.world, scene.thief
    kind = draw(st.integers(0, 3))
    if kind == 0:
        scene.call(world.book, "flag", sender=thief)
    elif kind == 1:
        leg = world.plan(Leg(size=-world.gap()))[3][0]
        reward = draw(st.sampled_from([0, 1, FALLBACK[2] // 2, FALLBACK[2], 10 * FALLBACK[2]]))
        scene.call(world.book, "fall_back", leg, reward, thief, sender=thief, to=thief)
    elif kind == 2:
        token = draw(st.sampled_from([world.asset, world.quote]))
        payer = draw(st.sampled_from([world.vault, world.book, world.queue]))
        scene.call(token, "transferFrom", payer.address, thief, 1, sender=thief)
    else:
        venue = draw(st.sampled_from(scene.accounts()))
        scene.call(world.book, "carry_out", world.plan(Leg(margin_assets=1, venue=venue)),
                   thief, 1, thief, sender=thief)  # fmt: skip


def market(scene: Scene, draw: st.DrawFn) -> None:
    """Time and price go on, so that queue, cooldown and fallback come to be."""
    world = scene.world
    world.pass_time(draw(st.sampled_from([60, 3_601, 8_000])))
    world.set_price(draw(st.sampled_from([950, 1_000, 1_060])))


ACTORS = {
    "keeper": keeper,
    "depositor": depositor,
    "owner": owner,
    "guardian": guardian,
    "stranger": stranger,
    "market": market,
}


def test_g02__whatever_anybody_tries__tokens_go_to_known_places(scene):
    @given(st.data())
    def tried(data):
        with boa.env.anchor():
            if data.draw(st.booleans()):  # a gap that the keeper leaves, for the fallback
                scene.world.deposit(scene.holder, 20)
                scene.world.book.flag()
                scene.world.pass_time(FALLBACK[0] + FALLBACK[1])
            for _ in range(data.draw(st.integers(1, STEPS))):
                step(scene, data.draw)

    tried()
    seen = scene.seen
    assert {"to venue", "to spot", "to queue", "to vault", "paid by claim"} <= seen.keys()
    assert {"paid by withdraw", "paid by redeem", "paid by fall_back"} <= seen.keys(), seen


def test_g02__address_that_is_no_place__gets_nothing_from_any_plan(scene):
    """Said once more without chance: each address as the venue of a leg that sends margin."""
    world = scene.world
    for account in {word(each) for each in scene.accounts()}:
        if scene.places.get(account) == "venue":
            continue
        with boa.env.anchor(), boa.reverts("book: unknown venue"):
            plan = world.plan(Leg(margin_assets=world.assets(1), venue=account))
            world.book.rebalance(plan, sender=world.keeper)
