"""Fault injection on a real stack under load; the oracle checks that no record is lost or doubled."""
