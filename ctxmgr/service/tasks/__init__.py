"""What runs: an open data folder, its workers, the tasks of this node and of those that died.

Imports ``catalog``, ``storage`` and the engine; imported by ``api``.
"""
