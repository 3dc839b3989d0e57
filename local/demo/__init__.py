"""The demonstration: run the whole system on an empty stack and check the result."""
