"""Faults on the real stack while records flow, and the oracle at the end: the proof that nothing is lost or doubled."""
