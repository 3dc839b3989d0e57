"""The worker: reads topic `comments`, decides, stores in the ledger, publishes."""
