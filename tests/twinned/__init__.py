"""Tests of the client that are written once, blocking, and generated for the asyncio twin."""
