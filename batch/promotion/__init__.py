"""Which version serves: what a person is shown, promotion, rollback."""
