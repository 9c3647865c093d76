"""add comparisons: the trial that a trial repeats on a fresh seed, and sums by optimizer."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
IS_REPLICATE = sa.text("confirms IS NOT NULL")


def upgrade() -> None:
    op.add_column("trials", sa.Column("confirms", sa.BigInteger(), nullable=True))
    op.create_index(
        "ix_trials_study_id_confirms",
        "trials",
        ["study_id", "confirms"],
        sqlite_where=IS_REPLICATE,
        postgresql_where=IS_REPLICATE,
    )
    op.create_table(
        "branches",
        sa.Column("study_id", KEY, nullable=False),
        sa.Column("place", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("made", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("ended", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("failed", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("seconds", sa.Float(53), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(
            ["study_id"],
            ["studies.id"],
            name=op.f("fk_branches_study_id_studies"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("study_id", "place", name=op.f("pk_branches")),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    op.drop_table("branches")
    op.drop_index("ix_trials_study_id_confirms", table_name="trials")
    op.drop_column("trials", "confirms")
