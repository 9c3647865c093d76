"""add the number of the trial that a trial repeats on a fresh seed."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("trials", sa.Column("confirms", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    op.drop_column("trials", "confirms")
