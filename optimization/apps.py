"""Django application."""

from django.apps import AppConfig


class OptimizationConfig(AppConfig):
    """The optimisation layer: requests, their queue, and what watches portfolios."""

    name = "optimization"

    def ready(self) -> None:
        """Listen to the market, new data versions and ticks, and to users who go."""
        # Models are ready only now.
        from django.contrib.auth.models import User  # noqa: PLC0415
        from django.db.models.signals import post_delete, post_save  # noqa: PLC0415

        from marketdata.models import DataVersion  # noqa: PLC0415
        from marketdata.signals import tick_recorded  # noqa: PLC0415
        from optimization.solving.problems import forget_data_version  # noqa: PLC0415
        from optimization.totals import forget_totals  # noqa: PLC0415
        from optimization.watching.watcher import watch_tick  # noqa: PLC0415

        post_save.connect(forget_data_version, sender=DataVersion)
        tick_recorded.connect(watch_tick)
        # A user's requests go with the user.
        post_delete.connect(forget_totals, sender=User)
