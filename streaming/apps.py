"""Django application."""

from django.apps import AppConfig


class StreamingConfig(AppConfig):
    """The streaming layer."""

    name = "streaming"
