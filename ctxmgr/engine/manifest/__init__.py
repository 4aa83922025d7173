"""The entries of a tree, the three-way merge of trees, and the errors of the engine. Pure: no file is opened.

Everything in the engine may import it; it imports nothing of the engine.
"""
