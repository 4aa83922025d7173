"""A binding's policy, read; the white lists in it; mount paths. Imported by everything above ``manifest``."""
