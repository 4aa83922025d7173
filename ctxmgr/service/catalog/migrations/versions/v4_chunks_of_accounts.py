"""Chunks that belonged to everybody are given to the accounts that use them, and may be stored compressed.

Each account gets those that its contexts refer to, at whatever revision. What no context refers to is not kept in the
index, and is stored again by whoever needs it.
"""

from __future__ import annotations

from alembic import op
from sqlalchemy import BigInteger, Column, LargeBinary, MetaData, String, Table, select, text

revision = "4"
down_revision = "3"
OLDEST = 4

_ROWS = 1000
_DIGEST = 32
_GIVE = text("""
    INSERT INTO chunks (account, digest, pack_id, "offset", stored, length)
    SELECT :account, digest, pack_id, "offset", length, length FROM chunks_of_all WHERE digest = :digest
    ON CONFLICT DO NOTHING
""")


def upgrade() -> None:
    connection = op.get_bind()
    op.rename_table("chunks", "chunks_of_all")
    if connection.dialect.name == "postgresql":
        # An index keeps its name when its table gets another one.
        op.execute("ALTER INDEX chunks_pkey RENAME TO chunks_of_all_pkey")
    op.create_table(
        "chunks",
        Column("account", String(64), primary_key=True),
        Column("digest", LargeBinary, primary_key=True),
        Column("pack_id", String(64), nullable=False),
        Column("offset", BigInteger, nullable=False),
        Column("stored", BigInteger, nullable=False),
        Column("length", BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    tables = MetaData()
    contexts, files = (Table(name, tables, autoload_with=connection) for name in ("contexts", "files"))
    referring = select(contexts.c.account, files.c.chunks).join(contexts, contexts.c.id == files.c.context_id)
    with connection.execute(referring, execution_options={"yield_per": _ROWS}) as rows:
        for batch in rows.partitions():
            given = {
                (account, joined[at : at + _DIGEST])
                for account, joined in batch
                for at in range(0, len(joined), _DIGEST)
            }
            if given:
                connection.execute(_GIVE, [{"account": account, "digest": digest} for account, digest in given])
    op.drop_table("chunks_of_all")
