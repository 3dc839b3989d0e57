"""The worker: reads topic ``comments``, decides records, stores them in the ledger and publishes the decisions.

:mod:`stream.worker.app` is the Faust app, :mod:`stream.worker.pipeline` the stages decide, store and publish.
"""
