"""How good a model is: the report, its intervals and its figures."""
