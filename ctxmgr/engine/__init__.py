"""What moves a directory: scanned, merged, cut into chunks, carried out. It knows no database and no HTTP.

- ``manifest``: entries of a tree, the three-way merge, and what can go wrong.
- ``policy``: what a binding's policy says, read and checked.
- ``content``: chunks and packs.
- ``archives``: archives that are unpacked, and the bundles of archive mode.
- ``workspace``: a directory, scanned and written.
- ``sync``: one sync, from scan to success.

Each imports only those above it; ``archives`` and ``workspace`` do not know each other. Everybody may import the
engine; it imports nothing else of ctxmgr but what is pure, such as ``ctxmgr.errors``.
"""
