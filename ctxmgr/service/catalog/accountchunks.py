"""The step from schema 3 to 4: chunks that belonged to everybody are given to the accounts that use them."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, select, text

from .revisions import digests_of
from .schema import chunks, contexts, files

__all__ = ["ACCOUNT_CHUNKS", "give_chunks_to_accounts"]

ACCOUNT_CHUNKS: Final = 4
"""The first schema in which chunks belong to accounts."""

_ROWS: Final = 1000
_GIVE: Final = text("""
    INSERT INTO chunks (account, digest, pack_id, "offset", stored, length)
    SELECT :account, digest, pack_id, "offset", length, length FROM chunks_of_all WHERE digest = :digest
    ON CONFLICT DO NOTHING
""")


def give_chunks_to_accounts(connection: Connection) -> None:
    """Make the table of chunks anew: each account gets those that its contexts refer to, at whatever revision.

    What no context refers to is not kept in the index, and is stored again by whoever needs it.

    Args:
        connection: a write transaction; the table is what it was unless that comes to its end.
    """
    # An index keeps its name when its table gets another one.
    for index in chunks.indexes:
        index.drop(connection, checkfirst=True)
    connection.execute(text("ALTER TABLE chunks RENAME TO chunks_of_all"))
    chunks.create(connection)
    referring = select(contexts.c.account, files.c.chunks).join(contexts, contexts.c.id == files.c.context_id)
    with connection.execution_options(yield_per=_ROWS).execute(referring) as rows:
        for batch in rows.partitions():
            given = {(account, digest) for account, joined in batch for digest in digests_of(joined)}
            if given:
                connection.execute(_GIVE, [{"account": account, "digest": digest} for account, digest in given])
    connection.execute(text("DROP TABLE chunks_of_all"))
