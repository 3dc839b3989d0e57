"""The speed layer: a Faust worker that decides live comments and stores them in the ledger, and the traffic source."""
