"""The ways from one version of the catalog's tables to the next, as Alembic's revisions in ``versions``.

A revision is the number that ``schemaversion.SCHEMA`` had. Each runs in the transaction that notes it in the table
``meta``.

Programs of an earlier version may be running while a revision is applied. So one first *expands* the tables: tables,
and columns with a default, which those programs don't miss. What takes something away from them, or changes what it
means, *contracts*: it must make their statements fail, never mean something else, and says so by its ``OLDEST``, the
lowest version whose programs can still work on what it makes. ``versions.bring_up`` does not apply it beside them.

Imported by ``versions``, and only where a catalog is of an earlier version.
"""
