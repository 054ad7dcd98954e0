"""Django application."""

from django.apps import AppConfig


class OptimizationConfig(AppConfig):
    """The optimization layer."""

    name = "optimization"
