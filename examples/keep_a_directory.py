"""Keep a directory in a context and restore it elsewhere: python examples/keep_a_directory.py DIR RESTORED"""

from __future__ import annotations

import sys

from ctxmgr import Client


def main(directory: str, restored: str) -> None:
    with Client.local("~/.ctxmgr-example") as client:
        context = client.contexts.get("example", create=True).context
        with client.sessions.create(root=directory, bind={"/": context}).session as session:
            result = session.context.sync().raise_for_error()
            print(f"kept {result.files} files as revision {result.revision}")
        with client.sessions.create(root=restored, bind={"/": context}).session:
            print(f"restored to {restored}")


if __name__ == "__main__":
    main(*sys.argv[1:])
