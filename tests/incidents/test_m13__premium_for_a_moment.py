# SPDX-License-Identifier: MIT
"""
M-13: funding by the premium of one sample. Here a premium pays for the seconds that it stood: one
that is pushed for a minute moves less to the pusher's other account than its fees.
"""

from __future__ import annotations

import boa

from tests.venue_world import NO_REWARD, world


def test_m13__pushed_for_a_minute__costs_more_than_it_brings() -> None:
    results = []
    w = world(**NO_REWARD)
    holder = w.trader("holder", quote=100)
    receiver, pusher = w.trader("receiver", quote=100), w.trader("pusher", quote=200)
    w.trade(holder, 50)
    w.trade(receiver, -50)
    for push in (0, 100):
        with boa.env.anchor():
            before = [w.venue.margin(each, w.price()).equity for each in (receiver, pusher)]
            if push:
                w.trade(pusher, push)
            w.pass_time(60)
            if push:
                w.trade(pusher, -push)
            after = [w.venue.margin(each, w.price()).equity for each in (receiver, pusher)]
            results.append(sum(after) - sum(before))
    assert results[1] < results[0]
