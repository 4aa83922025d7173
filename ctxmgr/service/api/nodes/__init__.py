"""The calls of nodes: processes elsewhere that have the directories of sessions, and run their tasks.

A module for each kind of call, ``registry`` by name, ``rowblocks`` for what a commit brings. Imports what the actions
import, and ``ctxmgr.nodewire``; imported by the face of the service.
"""
