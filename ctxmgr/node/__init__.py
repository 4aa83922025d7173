"""The process that has the files, where the service is elsewhere: it takes the tasks of its sessions and runs them.

Imports the engine and the messages of the service's door for nodes; what sends them is given to it. Imported by the
primitives of both packages.
"""
