"""Django application."""

from django.apps import AppConfig


class OptimizationConfig(AppConfig):
    """The optimisation layer: requests, their queue, and what watches portfolios."""

    name = "optimization"

    def ready(self) -> None:
        """Forget the held data version as soon as this process makes a new one."""
        from django.db.models.signals import post_save  # noqa: PLC0415 - models are ready only now

        from marketdata.models import DataVersion  # noqa: PLC0415
        from optimization.problems import forget_data_version  # noqa: PLC0415

        post_save.connect(forget_data_version, sender=DataVersion)
