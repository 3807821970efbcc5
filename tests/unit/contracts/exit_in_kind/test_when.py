# SPDX-License-Identifier: MIT
"""Construction of the exit in kind, and when it is open."""

from __future__ import annotations

import boa
import pytest

from tests.market_world import NOBODY, deployer
from tests.vault_world import DAY, EXIT_DELAY, HOUR, event, vault_world

WINDOW = 30 * DAY
SHARES = 10**21


@pytest.fixture(scope="module")
def built():
    with boa.env.anchor():
        world = vault_world()
        holder = world.depositor("holder")
        world.deposit(holder, 10)
        world.pass_time(60)  # the book saw its last price before anybody announces
        yield world, holder


@pytest.fixture
def world(built):
    with boa.env.anchor():
        yield built[0]


@pytest.fixture
def holder(built):
    return built[1]


def leave(world, holder, **options):
    return world.exit.exit(SHARES, holder, holder, 0, 0, sender=holder, **options)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"book": NOBODY}, "exit: book is zero"),
        ({"delay": DAY - 1}, "exit: delay"),
        ({"delay": 30 * DAY + 1}, "exit: delay"),
        ({"patience": 0}, "exit: patience"),
        ({"patience": 7 * DAY + 1}, "exit: patience"),
    ],
)
def test_construct__bad_arguments__refused(world, changes, reason):
    arguments = {"book": world.book.address, "delay": DAY, "patience": HOUR} | changes
    with boa.reverts(reason):
        deployer("ExitInKind.vy").deploy(*arguments.values())


def test_construct__its_vault_is_the_books(world):
    leaving = world.exit
    assert (leaving.book(), leaving.vault()) == (world.book.address, world.vault.address)
    assert world.vault.exit_in_kind() == leaving.address
    assert (leaving.round(), leaving.hollow_shares(), leaving.announced_at()) == (0, 0, 0)


def test_exit__good_price__never_open(world, holder):
    with boa.reverts("exit: there is a good price"):
        world.exit.announce()
    with boa.reverts("exit: not announced"):
        leave(world, holder)


def test_announce__no_price__starts_the_clock_once(world, holder):
    world.break_oracle()
    world.exit.announce(sender=holder)
    now = boa.env.timestamp
    said = event(world.exit, "ExitsAnnounced")
    assert (said.sender, said.opens_at) == (holder, now + EXIT_DELAY)
    assert said.closes_at == now + EXIT_DELAY + WINDOW
    boa.env.time_travel(seconds=EXIT_DELAY + WINDOW - 1)
    with boa.reverts("exit: announced already"):
        world.exit.announce()


def test_exit__before_the_delay_is_over__refused(world, holder):
    world.break_oracle()
    world.exit.announce()
    boa.env.time_travel(seconds=EXIT_DELAY - 1)
    with boa.reverts("exit: too early"):
        leave(world, holder)
    boa.env.time_travel(seconds=1)
    assert leave(world, holder)[0] > 0


def test_exit__announcement_of_long_ago__lapsed(world, holder):
    world.open_exit()
    boa.env.time_travel(seconds=WINDOW)
    with boa.reverts("exit: announcement lapsed"):
        leave(world, holder)
    world.exit.announce()
    boa.env.time_travel(seconds=EXIT_DELAY)
    leave(world, holder)


def test_exit__price_back_by_then__refused(world, holder):
    world.open_exit()
    world.set_price(1_000)
    with boa.reverts("exit: there is a good price"):
        leave(world, holder)


def test_exit__book_saw_a_good_price_meanwhile__refused(world, holder):
    """Nobody retracts, but somebody deposits: the price was not bad for long."""
    world.break_oracle()
    world.exit.announce()
    boa.env.time_travel(seconds=DAY)
    world.set_price(1_000)
    world.book.flag()
    world.break_oracle()
    boa.env.time_travel(seconds=EXIT_DELAY)
    with boa.reverts("exit: a good price was seen"):
        leave(world, holder)
    world.exit.announce()  # at once, and the clock starts again
    with boa.reverts("exit: too early"):
        leave(world, holder)


def test_exit__price_seen_in_the_second_of_the_announcement__refused(world, holder):
    world.book.flag()
    world.open_exit()
    with boa.reverts("exit: a good price was seen"):
        leave(world, holder)


def test_retract__good_price__by_anybody(world, holder):
    with boa.reverts("exit: not announced"):
        world.exit.retract()
    world.break_oracle()
    world.exit.announce()
    announced_at = boa.env.timestamp
    with boa.reverts("oracle: asset feed zero"):
        world.exit.retract()
    world.set_price(1_000)
    world.exit.retract(sender=holder)
    assert event(world.exit, "AnnouncementRetracted").announced_before_at == announced_at
    assert world.exit.announced_at() == 0
    world.break_oracle()
    boa.env.time_travel(seconds=EXIT_DELAY)
    with boa.reverts("exit: not announced"):
        leave(world, holder)


@pytest.mark.parametrize("call", ["announce", "exit"])
def test_little_gas__makes_no_bad_price(world, holder, call):
    """A call that runs out inside a feed leaves its callers too little to write a word."""
    if call == "exit":
        world.open_exit()
        world.set_price(1_000)
    run = {
        "announce": lambda gas: world.exit.announce(gas=gas),
        "exit": lambda gas: leave(world, holder, gas=gas),
    }[call]
    for gas in range(25_000, 400_000, 5_000):
        with boa.env.anchor(), pytest.raises(boa.BoaError):
            run(gas)
