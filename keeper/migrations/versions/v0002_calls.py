# SPDX-License-Identifier: MIT
"""Transactions that are no rebalance, and how each that failed has failed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Loosen what only a rebalance has; name the failures that are certain."""
    with op.batch_alter_table("transactions") as table:
        table.add_column(
            sa.Column("purpose", sa.String, nullable=False, server_default="rebalance")
        )
        table.add_column(sa.Column("failure", sa.String))
        table.alter_column("decision_row", existing_type=number, nullable=True)
        table.alter_column("plan_nonce", existing_type=number, nullable=True)
    transactions = sa.table("transactions", *map(sa.column, ("state", "failure", "succeeded")))
    reverted = (transactions.c.state == "failed") & transactions.c.succeeded.is_(sa.false())
    op.execute(sa.update(transactions).where(reverted).values(failure="reverted"))
    # What read journals before versions were counted looks here, and refuses this one.
    meta = sa.table("meta", *map(sa.column, ("key", "value")))
    op.execute(sa.delete(meta).where(meta.c.key == "schema"))
    op.execute(sa.insert(meta).values(key="schema", value=revision))
