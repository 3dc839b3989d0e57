"""Proposal, promotion and rollback of model versions."""
