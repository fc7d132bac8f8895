"""The state database: engine, transactions, fencing, migrations."""
