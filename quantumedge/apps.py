"""Django application."""

from django.apps import AppConfig


class QuantumEdgeConfig(AppConfig):
    """The composition root: settings, system checks and the commands that start things."""

    name = "quantumedge"

    def ready(self) -> None:
        """Register the system checks."""
        from quantumedge import checks  # noqa: F401, PLC0415 - registers when imported
