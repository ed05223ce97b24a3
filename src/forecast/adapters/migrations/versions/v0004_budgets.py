"""Budgets with parents, phases, thresholds and units, and the history of their risk.

The new columns have defaults, so that budgets of an older home stay what they were.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("budgets") as budgets:
        budgets.add_column(sa.Column("kind", sa.String(16), nullable=False, server_default="budget"))
        budgets.add_column(sa.Column("parent", sa.String(100)))
        budgets.add_column(sa.Column("repeats", sa.String(16)))
        budgets.add_column(sa.Column("phases", sa.JSON, nullable=False, server_default="[]"))
        budgets.add_column(sa.Column("thresholds", sa.JSON, nullable=False, server_default="[]"))
        budgets.add_column(sa.Column("unit", sa.Text, nullable=False, server_default=""))
        budgets.add_column(sa.Column("unit_price", sa.Double))
    op.create_table(
        "budget_risks",
        sa.Column("budget_id", sa.String(100), sa.ForeignKey("budgets.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("snapshot_id", sa.String(64), primary_key=True),
        sa.Column("start", sa.Date, primary_key=True),
        sa.Column("end", sa.Date, nullable=False),
        sa.Column("cutoff", sa.Date, nullable=False),
        sa.Column("computed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("amount", sa.Double, nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("spent", sa.Double, nullable=False),
        sa.Column("mean", sa.Double, nullable=False),
        sa.Column("p10", sa.Double, nullable=False),
        sa.Column("p50", sa.Double, nullable=False),
        sa.Column("p90", sa.Double, nullable=False),
        sa.Column("overrun_probability", sa.Double, nullable=False),
        sa.Column("expected_overrun", sa.Double, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("budget_risks")
    with op.batch_alter_table("budgets") as budgets:
        for name in ("kind", "parent", "repeats", "phases", "thresholds", "unit", "unit_price"):
            budgets.drop_column(name)
