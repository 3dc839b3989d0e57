"""The speed layer: a Faust app that scores live comments and keeps a ledger, exact to the row."""
