"""One sync of a workspace with a context, from the scan to the success.

Imports the rest of the engine; imported by who runs syncs: the service's ``tasks``, and nodes.
"""
