# SPDX-License-Identifier: MIT
"""One keeper leads a journal; who ends or stops leads no more."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import suppress

import pytest

from keeper import database
from keeper import lease as lease_module
from keeper.errors import ConfigInvalid, Fault, JournalUnavailable, LeaseLost
from keeper.lease import Lease, held, place_for
from tests.postgres_server import way_to


def test_held__second__one_line_with_the_process(tmp_path):
    journal = tmp_path / "j.sqlite"
    with (
        held(journal),
        pytest.raises(Fault, match=rf"another keeper works on .*j\.sqlite \(process {os.getpid()}"),
        held(journal),
    ):
        pass


def test_held__again_after_the_first__is_free(tmp_path):
    for _ in range(2):
        with held(tmp_path / "new" / "j.sqlite"):
            pass


def test_held__holder_killed__is_free(tmp_path):
    code = (
        "import sys, os, pathlib; from keeper.lease import held\n"
        "with held(pathlib.Path(sys.argv[1])):\n    os.kill(os.getpid(), 9)"
    )
    journal = tmp_path / "j.sqlite"
    killed = subprocess.run([sys.executable, "-c", code, str(journal)], check=False)
    assert killed.returncode == -9
    with held(journal):
        pass


def test_held__other_journal__does_not_matter(tmp_path):
    with held(tmp_path / "a"), held(tmp_path / "b"):
        pass


def test_held__no_such_place__names_the_field(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigInvalid, match=r"journal\.path: "), held(tmp_path / "file" / "j"):
        pass


# Several


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture(params=["file", "postgresql"])
def replicas(request, tmp_path):
    """Two keepers of one journal, each with a clock of its own; nobody beats by himself."""
    where = tmp_path / "j.sqlite"
    if request.param == "postgresql":
        where = request.getfixturevalue("postgres").new()
    first, second = (Lease(place_for(where), 3.0, monotonic=Clock()) for _ in range(2))
    if request.param == "postgresql":  # in one process both would count as one
        monkey = request.getfixturevalue("monkeypatch")
        monkey.setattr(database, "PROCESS", "hedgevault-other")
        second = Lease(place_for(where), 3.0, monotonic=Clock())
    yield first, second
    for lease in (first, second):
        lease._place.release()


def watched(lease, secs):
    """Look for signs of life as the thread does, for some seconds."""
    for _ in range(int(secs)):
        lease._monotonic.now += 1.0
        if lease.leads():
            return True
    return False


def test_lease__leader_shows_signs_of_life__keeps_it(replicas):
    first, second = replicas
    assert first.leads()
    for _ in range(8):
        first._turn()
        assert not watched(second, 2)
    first.check()
    assert "process " in second.holder


def test_lease__given_back__the_next_has_it_at_once(replicas):
    first, second = replicas
    assert first.leads()
    assert not second.leads()
    first._place.release()
    assert second.leads()
    assert not first.leads()


def test_lease__leader_stops__taken_over_and_the_first_finds_out(replicas):
    first, second = replicas
    assert first.leads()
    assert not watched(second, 3)  # its patience begins with the first look
    assert watched(second, 3)
    second.check()
    with pytest.raises(LeaseLost, match="another keeper may lead"):
        first.check()
    assert not first.leads()
    assert not watched(first, 2)


def test_lease__unhealthy_leader__shows_no_sign_and_loses_it(replicas):
    first, second = replicas
    assert first.leads()
    first.healthy = lambda: False
    for _ in range(8):
        first._turn()
        second._monotonic.now += 1.0
        if second.leads():
            break
    assert second.holder == "this one"


def test_check__lost_and_led_again_meanwhile__refused_until_asked_anew(replicas):
    """What a cycle has read in an earlier term must not be acted on."""
    first, second = replicas
    assert first.leads()
    assert watched(second, 8)
    second._place.release()
    first._place.release()
    first._leads = False
    first._turn()  # its thread leads again, its cycle does not know
    assert first.holder == "this one"
    with pytest.raises(LeaseLost):
        first.check()
    first._turn()
    assert first.leads()
    first.check()


def test_lease__several_standbys__one_takes_over(tmp_path):
    place = tmp_path / "j.sqlite"
    leader = Lease(place_for(place), 3.0, monotonic=Clock())
    assert leader.leads()
    others = [Lease(place_for(place), 3.0, monotonic=Clock()) for _ in range(5)]
    for _ in range(8):
        for lease in others:
            lease._monotonic.now += 1.0
            lease.leads()
    fine = 0
    for lease in (leader, *others):
        with suppress(LeaseLost):
            lease.check()
            fine += 1
        lease._place.release()
    assert fine == 1


def test_lease__server_is_gone__nobody_can_say(fragile):
    lease = Lease(place_for(fragile.new()), 3.0)
    assert lease.leads()
    fragile.stop()
    with pytest.raises(LeaseLost):
        lease.check()
    with pytest.raises(JournalUnavailable, match="the lease is out of reach"):
        lease.leads()
    fragile.start()
    assert lease.leads()
    lease.check()
    lease._place.release()


def test_lease__server_says_nothing__nobody_waits_for_it(postgres, monkeypatch):
    monkeypatch.setattr(lease_module, "ANSWER_SECS", 0.1)
    monkeypatch.setattr(database, "REST_SECS", 0.8)
    with way_to(postgres.new()) as (way, url):
        lease = Lease(place_for(url), 3.0)
        assert lease.leads()
        way.open.clear()
        began = time.monotonic()
        with pytest.raises(LeaseLost):
            lease.check()
        assert time.monotonic() - began < 2.0
        began = time.monotonic()
        with pytest.raises(JournalUnavailable, match="the lease is out of reach"):
            lease.leads()
        lease._place.release()
        assert time.monotonic() - began < 0.3
        way.open.set()
        time.sleep(0.9)
        assert lease.leads()
        way.open.clear()
        began = time.monotonic()
        lease._place.release()
        assert time.monotonic() - began < 2 * lease_module.FAREWELL_SECS


def test_lease__journals_of_two_schemas__do_not_matter_to_each_other(postgres):
    url = postgres.new()
    postgres.say("CREATE SCHEMA other", url.database)
    other = url.update_query_dict({"options": "-csearch_path=other"})
    with held(url), held(other), pytest.raises(Fault, match="another keeper works on"), held(url):
        pass
