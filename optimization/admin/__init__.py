"""Django's admin of this application: requests with their history, and watched portfolios."""

from optimization.admin import portfolios, requests

__all__ = ["portfolios", "requests"]
