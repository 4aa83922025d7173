"""Where a service keeps what is not in the catalog: the data folder, the packs, the key that signs URLs.

Imports the engine's types; imported by ``tasks`` and ``api``.
"""
