"""Chunks named by their BLAKE3 digest, and the packs that hold them.

Imports ``manifest`` alone; imported by ``archives``, ``workspace`` and ``sync``, and by the service's storage.
"""
