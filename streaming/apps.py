"""Django application."""

from django.apps import AppConfig


class StreamingConfig(AppConfig):
    """The streaming layer: the wire and what is told over it."""

    name = "streaming"

    def ready(self) -> None:
        """Listen to the news of the layers below."""
        from django.contrib import admin  # noqa: PLC0415 - models are ready only now

        from marketdata.signals import tick_recorded  # noqa: PLC0415
        from optimization import signals  # noqa: PLC0415
        from streaming import latest_progress, receivers  # noqa: PLC0415
        from streaming.access import login  # noqa: PLC0415

        admin.site.login_form = login.ThrottledLoginForm
        tick_recorded.connect(receivers.tell_prices)
        signals.request_started.connect(receivers.tell_started)
        signals.request_progressed.connect(receivers.tell_progress)
        signals.request_progressed.connect(latest_progress.remember)
        signals.request_point_found.connect(receivers.tell_point)
        signals.request_finished.connect(receivers.tell_finished)
        signals.risk_breached.connect(receivers.tell_risk_breach)
