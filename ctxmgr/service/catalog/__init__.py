"""The catalog: contexts, revisions, sessions, tasks, keys and labels as rows of a database.

Imports the engine's types; imported by ``tasks`` and ``api``. It knows no requests and no packs but their names.
"""
