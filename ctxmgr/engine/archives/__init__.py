"""Archives: users' own, which a policy has unpacked, and the bundles that archive mode makes.

Imports ``content``, ``manifest`` and ``policy``; imported by ``sync``.
"""
