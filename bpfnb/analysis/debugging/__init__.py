"""Watching runs in text: conditions, breakpoints, watches, logs, and the commands for them."""
