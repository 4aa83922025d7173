"""What a binding's policy says, the white lists in it, and mount paths.

Imports ``manifest`` alone; imported by ``archives``, ``workspace`` and ``sync``, and by the service.
"""
