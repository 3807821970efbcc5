# SPDX-License-Identifier: MIT
"""What was signed for a nonce before it was replaced."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add the table; and whether the newest bytes free the nonce, and when they were signed."""
    op.create_table(
        "envelopes",
        sa.Column("tx_hash", sa.String, primary_key=True),
        sa.Column(
            "transaction_id", number, sa.ForeignKey("transactions.id"), nullable=False, index=True
        ),
        sa.Column("raw", sa.LargeBinary, nullable=False),
        sa.Column("max_fee", number, nullable=False),
        sa.Column("priority_fee", number, nullable=False),
        sa.Column("cancels", sa.Boolean, nullable=False),
        sa.Column("signed_at", sa.Double, nullable=False),
    )
    meta = sa.table("meta", *map(sa.column, ("key", "value")))
    op.execute(sa.update(meta).where(meta.c.key == "schema").values(value=revision))
