"""The demonstration: the whole system from nothing, checked at the end."""
