"""A filter as AND, OR and NOT over its tests, and such a tree as a program."""
