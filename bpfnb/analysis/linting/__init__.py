"""What is odd about a filter, kind by kind."""
