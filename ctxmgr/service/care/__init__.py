"""The care of what is stored: which revisions are kept, what nothing refers to any more, and whether all is whole.

Imports ``catalog`` and ``storage``; imported by ``tasks`` and ``api``.
"""
