"""The actions of the protocol, one module a subject, found by name in ``registry``; and transfers by URL.

Imports ``tasks``, ``catalog`` and ``storage``; imported by ``ctxmgr.service.contextservice``, which the doors use.
"""
