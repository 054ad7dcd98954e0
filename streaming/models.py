"""API tokens: how programs sign in."""

from datetime import datetime

from django.conf import settings
from django.db import models
from django.utils import timezone


class Scope(models.TextChoices):
    """What a token allows."""

    READ = "read", "read: subscribe, read, resume"
    TRADE = "trade", "trade: read, and submit, cancel, watch"


class ApiToken(models.Model):
    """A program's key to one user's account.

    The secret itself is shown once and kept nowhere: ``digest`` is its SHA-256, which is enough
    for 256 random bits. ``prefix`` is the token's public half, by which its row is found.
    """

    name = models.CharField(max_length=100, help_text="What it is for.")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="api_tokens"
    )
    scope = models.CharField(max_length=10, choices=Scope.choices, default=Scope.READ)
    prefix = models.CharField(max_length=16, unique=True, editable=False)
    digest = models.CharField(max_length=64, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True, help_text="Empty: never.")
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        verbose_name = "API token"
        ordering = ("-created_at",)

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix})"

    def is_valid(self, now: datetime) -> bool:
        """Whether it opens anything at this moment."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)

    @property
    def standing(self) -> str:
        """``valid``, ``revoked`` or ``expired``."""
        if self.revoked_at is not None:
            return "revoked"
        return "valid" if self.is_valid(timezone.now()) else "expired"
