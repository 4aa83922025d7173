"""Keep a directory in a context, in asyncio: python examples/keep_a_directory_async.py DIR"""

from __future__ import annotations

import asyncio
import sys

from ctxmgr_async import Client


async def main(directory: str) -> None:
    async with Client.local("~/.ctxmgr-example") as client:
        context = (await client.contexts.get("example", create=True)).context
        async with (await client.sessions.create(root=directory, bind={"/": context})).session as session:
            result = (await session.context.sync()).raise_for_error()
            print(f"kept {result.files} files as revision {result.revision}")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
