"""What only asyncio has: tests that no blocking test could be the source of."""
