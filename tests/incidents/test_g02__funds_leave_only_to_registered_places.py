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
from random import Random
from typing import Any

import boa
import pytest

from tests.market_world import deployer
from tests.vault_world import DAY, FALLBACK, Leg, VaultWorld, add_settable_venue, vault_world

TRANSFER = int("ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef", 16)
EPISODES, STEPS = 9, 22


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

    def transfers(self, done: Any) -> list[tuple[str, str, str, int]]:
        """Return token, payer, receiver and amount of each transfer in a call."""
        tokens = {word(self.world.asset.address): "asset", word(self.world.quote.address): "quote"}
        found = []
        for _, emitter, topics, data in done.get_raw_log_entries():
            token = tokens.get("0x" + emitter.hex())
            if token is not None and topics[0] == TRANSFER:
                payer, receiver = (f"0x{topic:040x}" for topic in topics[1:3])
                found.append((token, payer, receiver, int.from_bytes(data)))
        return found

    def call(
        self, contract: Any, function: str, *arguments: Any, sender: str, to: str = ""
    ) -> None:
        """Make a call that may fail, and look at where tokens went; `to` is whom it may pay."""
        data = getattr(contract, function).prepare_calldata(*arguments)
        done = boa.env.execute_code(to_address=contract.address, sender=sender, data=data)
        if done.is_error:
            self.seen["refused"] += 1
            return
        for token, payer, receiver, amount in self.transfers(done):
            if self.places.get(payer) not in {"vault", "book", "queue"}:
                continue
            if receiver in self.places:
                self.seen[f"to {self.places[receiver]}"] += 1
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


def keeper(scene: Scene, rng: Random) -> None:
    """A plan of one or two legs, for any address as the venue, with or without a spot trade."""
    world, idle, margin = scene.world, scene.world.vault.idle_assets(), scene.world.margin().assets
    spot = rng.choice([0, 0, -world.assets("0.4"), world.assets("0.4")])
    sensible = Leg(margin_assets=max(0, world.gap()) // 3, size=-world.gap() - spot)
    legs = [
        Leg(
            margin_assets=rng.choice([0, idle // 9, idle // 3, -margin // 9, -margin]),
            margin_quote=rng.choice([0, 0, 0, 10**6, -(10**6)]),
            size=rng.choice([0, -world.gap() - spot, world.assets(1)]),
            venue=rng.choice([None] * 9 + scene.accounts()),
        )
        for _ in range(rng.choice([0, 1, 1, 2]))
    ]
    legs = rng.choice([[sensible], legs])
    plan = world.plan(*legs, spot_assets=spot, spot_after=len(legs))
    sender = rng.choice([world.keeper, world.keeper, world.keeper, scene.thief])
    scene.call(world.book, "rebalance", plan, sender=sender)


def depositor(scene: Scene, rng: Random) -> None:
    """Come, go, ask, be served: receivers are anybody, the shares the holder's."""
    world, vault, queue = scene.world, scene.world.vault, scene.world.queue
    receiver = rng.choice([scene.thief, scene.holder, *scene.accounts()])
    sender = rng.choice([scene.holder, scene.holder, scene.thief])
    assets = world.assets(rng.choice(["0.1", "1", "7"]))
    shares = assets * 1_000
    kind = rng.choice([0, 1, 2, 3, 3, 4, 4, 5, 5, 6])
    if kind == 0:
        scene.call(vault, "deposit", assets, scene.holder, sender=sender)
    elif kind in {1, 2}:  # to whom the owner of the shares says, and only if he says it
        to = receiver if sender == scene.holder else ""
        name, amount = ("withdraw", assets) if kind == 1 else ("redeem", shares)
        scene.call(vault, name, amount, receiver, scene.holder, sender=sender, to=to)
    elif kind == 3:
        scene.call(queue, "request", shares, 0, sender=sender)
    elif kind == 4:
        world.become_due()
        scene.call(queue, "process", 5, sender=scene.thief)
    elif kind == 5:
        owner = rng.choice([scene.holder, scene.thief])
        scene.call(queue, "claim", owner, sender=sender, to=owner)
    else:
        scene.call(queue, "cancel", rng.randint(0, 2), sender=sender)


def owner(scene: Scene, rng: Random) -> None:
    """List the thief as a venue and the like; executed before its time, or called directly."""
    book, thief, lock = scene.world.book, scene.thief, scene.timelock
    function, arguments = rng.choice(
        [
            ("add_venue", (thief, 10_000)),
            ("set_keeper", (thief,)),
            ("set_guardian", (thief,)),
            ("set_vault", (thief,)),
            ("set_allotment", (scene.world.venue.address, 10_000)),
            ("transfer_ownership", (thief,)),
        ]
    )
    contract = rng.choice([book, scene.world.vault, lock])
    if rng.random() < 0.5 and hasattr(contract, function):
        scene.call(contract, function, *arguments, sender=scene.proposer)
        return
    payload = getattr(book, function).prepare_calldata(*arguments)
    words = book.address, 0, payload, bytes(32), bytes(32)
    scene.call(lock, "schedule", *words, 2 * DAY, sender=scene.proposer)
    scene.world.pass_time(rng.choice([1, 60, DAY]))
    scene.call(lock, "execute", *words, sender=scene.proposer)
    scene.call(lock, "cancel", lock.hash_operation(*words), sender=scene.world.guardian)


def guardian(scene: Scene, rng: Random) -> None:
    """All that he may do, and the vault's own calls, which he may not make."""
    world, sender = scene.world, scene.world.guardian
    amount = world.assets(1)
    contract, function, arguments = rng.choice(
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
    scene.call(contract, function, *arguments, sender=sender)


def stranger(scene: Scene, rng: Random) -> None:
    """The keeper's work in his place, for any reward to anybody, and a share of the tokens."""
    world, thief = scene.world, scene.thief
    kind = rng.choice([0, 1, 1, 1, 2, 3])
    if kind == 0:
        scene.call(world.book, "flag", sender=thief)
    elif kind == 1:
        leg = world.plan(Leg(size=-world.gap()))[3][0]
        reward = rng.choice([0, 1, FALLBACK[2] // 2, FALLBACK[2], 10 * FALLBACK[2]])
        scene.call(world.book, "fall_back", leg, reward, thief, sender=thief, to=thief)
    elif kind == 2:
        token = rng.choice([world.asset, world.quote])
        payer = rng.choice([world.vault, world.book, world.queue])
        scene.call(token, "transferFrom", payer.address, thief, 1, sender=thief)
    else:
        venue = rng.choice(scene.accounts())
        scene.call(world.book, "carry_out", world.plan(Leg(margin_assets=1, venue=venue)),
                   thief, 1, thief, sender=thief)  # fmt: skip


def market(scene: Scene, rng: Random) -> None:
    """Time and price go on, so that queue, cooldown and fallback come to be."""
    world = scene.world
    world.pass_time(rng.choice([60, 3_601, 8_000]))
    world.set_price(rng.choice([950, 1_000, 1_060]))


ACTORS = {keeper: 3, depositor: 6, owner: 1, guardian: 1, stranger: 3, market: 3}  # how often


def test_g02__whatever_anybody_tries__tokens_go_to_known_places(scene):
    for seed in range(EPISODES):
        rng = Random(seed)
        with boa.env.anchor():
            scene.world.deposit(scene.holder, 20)
            scene.world.request(scene.holder, scene.world.assets(5) * 1_000)
            if seed % 2 == 0:  # the keeper leaves the gap until others may close it
                scene.world.book.flag()
                scene.world.pass_time(FALLBACK[0] + FALLBACK[1])
                stranger(scene, rng)
            for _ in range(STEPS):
                rng.choices(list(ACTORS), list(ACTORS.values()))[0](scene, rng)
    places = {"to venue", "to spot", "to queue", "to book"}
    calls = {f"paid by {name}" for name in ("withdraw", "redeem", "claim", "fall_back")}
    assert places | calls <= {what for what, count in scene.seen.items() if count}, scene.seen


def test_g02__address_that_is_no_place__gets_nothing_from_any_plan(scene):
    """Said once more without chance: each address as the venue of a leg that sends margin."""
    world = scene.world
    for account in {word(each) for each in scene.accounts()}:
        if scene.places.get(account) == "venue":
            continue
        with boa.env.anchor(), boa.reverts("book: unknown venue"):
            plan = world.plan(Leg(margin_assets=world.assets(1), venue=account))
            world.book.rebalance(plan, sender=world.keeper)
