"""A workspace directory: scanned, read, written, and remembered from one sync to the next.

Imports ``content``, ``manifest`` and ``policy``; imported by ``sync``.
"""
