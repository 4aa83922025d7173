"""Tests of the generator of the asyncio package."""
