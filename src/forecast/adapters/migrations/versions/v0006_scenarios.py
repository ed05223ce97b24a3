"""Saved scenarios, their versions, and what they said."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "scenarios",
        sa.Column("id", sa.String(100), primary_key=True),
        sa.Column("latest", sa.Integer, nullable=False),
        sa.Column("created_at", moment, nullable=False),
    )
    op.create_table(
        "scenario_versions",
        sa.Column("scenario_id", sa.String(100), sa.ForeignKey("scenarios.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("plan", sa.JSON, nullable=False),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("saved_at", moment, nullable=False),
    )
    op.create_table(
        "scenario_runs",
        sa.Column("scenario_id", sa.String(100), primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True),
        sa.Column("snapshot_id", sa.String(64), primary_key=True),
        sa.Column("cutoff", sa.Date, nullable=False),
        sa.Column("cost", sa.String(16), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("computed_at", moment, nullable=False),
        sa.Column("summary", sa.JSON, nullable=False),
        sa.ForeignKeyConstraint(["scenario_id", "version"], ["scenario_versions.scenario_id", "scenario_versions.version"], ondelete="CASCADE"),
    )


def downgrade() -> None:
    for table in ("scenario_runs", "scenario_versions", "scenarios"):
        op.drop_table(table)
