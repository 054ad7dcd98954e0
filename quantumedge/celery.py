"""The Celery application; tasks are found in each app's ``tasks`` module."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "quantumedge.settings")
# SIGTERM gives a running solve a moment and then hands it back, instead of waiting for its end.
# Celery reads this when it is imported.
os.environ.setdefault("REMAP_SIGTERM", "SIGQUIT")

from celery import Celery

app = Celery("quantumedge")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
