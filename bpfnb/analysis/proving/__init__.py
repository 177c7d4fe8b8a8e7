"""A program as one formula over every packet, and packets found by z3."""
