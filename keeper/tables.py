# SPDX-License-Identifier: MIT
"""
The tables of the journal as they are in its newest version; `migrations` makes them.
"""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa

VERSIONS: Final = ("0001", "0002", "0003")  # of the schema, oldest first; see `migrations/versions`
Number: Final = sa.BigInteger().with_variant(sa.Integer(), "sqlite")  # which counts rows by it


class Words(sa.TypeDecorator[str]):
    """
    Text that any database takes.

    Reasons come from contracts and nodes: PostgreSQL refuses a zero byte in a text, and no
    database takes half a surrogate pair. What nobody can read must not stop the keeper.
    """

    impl = sa.String
    cache_ok = True

    def process_bind_param(self, value: str | None, _dialect: Any) -> str | None:
        """Replace what cannot be stored."""
        if value is None:
            return None
        return value.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")


every = sa.MetaData()
meta = sa.Table(
    "meta",
    every,
    sa.Column("key", sa.String, primary_key=True),
    sa.Column("value", sa.String, nullable=False),
)
ticks = sa.Table(
    "ticks",
    every,
    sa.Column("id", Number, primary_key=True),
    sa.Column("job", sa.String, nullable=False),
    sa.Column("started_at", sa.Double, nullable=False),  # wall clock, Unix seconds
    sa.Column("ended_at", sa.Double),
    sa.Column("block_number", Number),
    sa.Column("block_hash", sa.String),
    sa.Column("parent_hash", sa.String),
    sa.Column("block_at", Number),
    sa.Column("requests", Number),
    sa.Column("result", sa.String),  # ok, fault, halt; empty while it runs or when it was killed
    sa.Column("detail", Words),
)
policies = sa.Table(
    "policies",
    every,
    sa.Column("hash", sa.String, primary_key=True),
    sa.Column("text", sa.String, nullable=False),
)
decisions = sa.Table(
    "decisions",
    every,
    sa.Column("id", Number, primary_key=True),
    sa.Column("tick_id", Number, sa.ForeignKey("ticks.id"), nullable=False, index=True),
    sa.Column("vault", sa.String, nullable=False, index=True),
    sa.Column("decision_id", sa.String, nullable=False, index=True),
    sa.Column("kind", sa.String, nullable=False),  # hold, rebalance, refuse
    sa.Column("reason", Words, nullable=False),
    sa.Column("words", sa.LargeBinary, nullable=False),  # zlib
    sa.Column("policy_hash", sa.String, sa.ForeignKey("policies.hash"), nullable=False),
    sa.Column("memory_before", sa.String, nullable=False),
    sa.Column("memory_after", sa.String, nullable=False),
    sa.Column("plan", sa.LargeBinary),
    sa.Column("figures", sa.String, nullable=False),  # JSON
    sa.Column("objection", Words),  # why it was not sent
)
transactions = sa.Table(
    "transactions",
    every,
    sa.Column("id", Number, primary_key=True),
    sa.Column("purpose", sa.String, nullable=False),  # rebalance, or the method of a call
    sa.Column("decision_row", Number, sa.ForeignKey("decisions.id")),  # of a rebalance
    sa.Column("decision_id", sa.String, nullable=False, index=True),  # of a call: its digest
    sa.Column("vault", sa.String, nullable=False),  # or the venue that is kept up
    sa.Column("book", sa.String, nullable=False),  # the contract that is called
    sa.Column("sender", sa.String, nullable=False),
    sa.Column("plan_nonce", Number),
    sa.Column("plan_deadline", Number, nullable=False),
    sa.Column("calldata", sa.LargeBinary, nullable=False),
    sa.Column("state", sa.String, nullable=False, index=True),
    sa.Column("failure", sa.String),
    sa.Column("planned_at", Number, nullable=False),  # chain time
    sa.Column("account_nonce", Number),
    sa.Column("tx_hash", sa.String, index=True),
    sa.Column("raw", sa.LargeBinary),
    sa.Column("gas_limit", Number),
    sa.Column("max_fee", Number),
    sa.Column("priority_fee", Number),
    sa.Column("sends", Number, nullable=False, default=0),
    sa.Column("block_number", Number),
    sa.Column("block_hash", sa.String),
    sa.Column("succeeded", sa.Boolean),
    sa.Column("gas_used", Number),
    sa.Column("effective_gas_price", Number),
    sa.Column("detail", Words),
)
steps = sa.Table(
    "steps",
    every,
    sa.Column("id", Number, primary_key=True),
    sa.Column(
        "transaction_id", Number, sa.ForeignKey("transactions.id"), nullable=False, index=True
    ),
    sa.Column("state_before", sa.String),
    sa.Column("state_after", sa.String, nullable=False),
    sa.Column("at", sa.Double, nullable=False),  # wall clock
    sa.Column("detail", Words),
)
absences = sa.Table(
    "absences",  # of a transaction whose nonce is used, or that is refused now
    every,
    sa.Column("transaction_id", Number, sa.ForeignKey("transactions.id"), primary_key=True),
    sa.Column("block_number", Number, nullable=False),  # the head when it was first missed
)
envelopes = sa.Table(
    "envelopes",  # all bytes that were signed for a transaction, the last of which its row has
    every,
    sa.Column("tx_hash", sa.String, primary_key=True),
    sa.Column(
        "transaction_id", Number, sa.ForeignKey("transactions.id"), nullable=False, index=True
    ),
    sa.Column("raw", sa.LargeBinary, nullable=False),
    sa.Column("max_fee", Number, nullable=False),
    sa.Column("priority_fee", Number, nullable=False),
    sa.Column("cancels", sa.Boolean, nullable=False),  # it only frees the nonce
    sa.Column("signed_at", sa.Double, nullable=False),  # wall clock
)
