"""Django application."""

from django.apps import AppConfig


class MarketDataConfig(AppConfig):
    """The marketdata layer."""

    name = "marketdata"
