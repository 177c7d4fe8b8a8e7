"""What bytes are called: header fields, and what a program's tests have made sure of."""
