"""The policy tables that speak of one platform alone, imported when a policy first has them."""
