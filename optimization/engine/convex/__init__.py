"""Exact convex optimisation with certificates and explanations."""
