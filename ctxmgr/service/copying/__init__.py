"""The copy of a whole service, its catalog and its content, into other places of any kind.

The content goes first, pack by pack, each read back and compared with its name; then all rows in one transaction, which
ends with the mark that makes the copy a service's. So whatever ends a copy leaves what no service opens and another run
goes on with.

Imports ``tasks``, ``care``, ``catalog`` and ``storage``; imported by the face of the command.
"""
