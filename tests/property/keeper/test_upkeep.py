# SPDX-License-Identifier: MIT
"""Deleveraging in chunks of any size, stopped and resumed anywhere, is the rule's own list."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from keeper.curve import maintenance_up
from keeper.deleveraging import check, deleverage
from keeper.units import Assets, Quote
from keeper.upkeep import (
    Care,
    Cause,
    Failures,
    Running,
    Stage,
    batch_of,
    deleveraging,
    owners_in_order,
    positions,
)
from tests.keeper_world import ETHER, NOW
from tests.upkeep_world import USDC, of_units, venue

deltas = st.one_of(st.integers(1, 20), st.integers(10**15, 50 * ETHER))
equities = st.one_of(st.integers(-5, 5), st.integers(-(10**9), 10**11))
shorts = st.lists(st.tuples(deltas, equities), min_size=1, max_size=12)


@st.composite
def failed(draw):
    """Return a gated venue of shorts, some insolvent, against failed longs."""
    accounts = [
        of_units(i, -delta, equity) for i, (delta, equity) in enumerate(draw(shorts), start=1)
    ]
    size = draw(st.integers(1, sum(abs(each.margin.delta) for each in accounts)))
    loss = draw(st.integers(0, 10**6 * USDC))
    return venue(
        *accounts,
        stage=Stage.GATED,
        failed_longs=Failures(loss=Quote(loss), size=Assets(size)),
    )


class Chain:
    """What the venue does with the lists, by `keeper.deleveraging` and the order of calls."""

    def __init__(self, state):
        self.state = state
        self.batch = batch_of(state, Cause.FAILED_LONGS)
        self.rule = deleverage(self.batch, positions(state), self.maintenance)
        check(self.batch, positions(state), self.maintenance, self.rule.cuts, self.rule.leverage)
        self.listed, self.chunks, self.chunks_cut, self.cut = [], [], 0, set()
        self.done = False

    def maintenance(self, size):
        return maintenance_up(self.state.market, size, self.state.scale)

    @property
    def complete(self):
        return len(self.listed) == len(self.rule.cuts)

    def take(self, owners):
        """List or cut a chunk, which has to be the next one."""
        listing = not self.complete
        if listing and owners:
            self.listed += owners
            self.chunks.append(owners)
            assert self.listed == [cut.owner for cut in self.rule.cuts][: len(self.listed)]
        if self.complete and self.chunks[self.chunks_cut] == owners:
            self._cut(owners)
        else:
            assert listing
        self.done = self.complete and self.chunks_cut == len(self.chunks)

    def _cut(self, owners):
        cuts = {cut.owner: cut for cut in self.rule.cuts if cut.owner in owners}
        self.state = replace(
            self.state, accounts=tuple(self._after(each, cuts) for each in self.state.accounts)
        )
        self.cut |= {owner for owner, cut in cuts.items() if cut.size}
        self.chunks_cut += 1

    def _after(self, account, cuts):
        if account.owner not in cuts:
            return account
        cut = cuts[account.owner]
        margin = account.margin
        changed = replace(margin, delta=margin.delta + cut.size, equity=margin.equity - cut.loss)
        return replace(account, margin=changed)

    def read(self):
        sizes = {each.owner: abs(each.margin.delta) for each in self.state.accounts}
        running = Running(
            cause=Cause.FAILED_LONGS,
            side=-1,
            listed=Assets(sum(sizes[owner] for owner in self.listed)),
            chunks=tuple(map(len, self.chunks)),
            chunks_cut=self.chunks_cut,
            cut=frozenset(self.cut),
            deadline=NOW + 600,
        )
        return replace(self.state, stage=Stage.BATCH, running=running)


@given(state=failed(), chunk=st.integers(1, 5), stops=st.lists(st.integers(1, 4), max_size=30))
def test_deleveraging__in_chunks_and_stopped_anywhere__ends_as_the_rule_says(state, chunk, stops):
    chain, care = Chain(state), Care(chunk=chunk)
    (begin,) = deleveraging(state, care)
    assert begin.arguments[0] == Cause.FAILED_LONGS
    chain.take(begin.arguments[1])
    for stop in [*stops, *[10**6] * 2]:
        if chain.done:
            break
        for call in deleveraging(chain.read(), care)[:stop]:
            chain.take(call.arguments[1])
    assert chain.done


@given(state=failed())
def test_order__of_any_batch_of_a_side__is_the_same(state):
    """So a batch that runs can be continued without knowing what it began with."""
    batch = batch_of(state, Cause.FAILED_LONGS)
    one_unit = replace(batch, deficit=Quote(0), failed_size=Assets(1), skew=Assets(0))
    assert owners_in_order(state, one_unit) == owners_in_order(state, batch)
