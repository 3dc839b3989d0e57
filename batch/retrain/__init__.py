"""Retraining: from the lake's labelled comments to a registered version, and the gate before it may challenge."""
