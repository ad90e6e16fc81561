"""Metrics of lens classification as an `evaluate` module; an island, loadable by path."""
