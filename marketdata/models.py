"""Assets, their completed daily bars, and the versions that the bars went through."""

from django.db import models


class Source(models.TextChoices):
    """Where prices come from."""

    REAL = "real", "Real"
    SIMULATED = "simulated", "Simulated"


class Asset(models.Model):
    """A symbol with daily closes.

    ``first_date``, ``last_date`` and ``bar_count`` are kept by ``marketdata.services`` so that
    nobody has to count bars.
    """

    symbol = models.CharField(max_length=32, unique=True)
    name = models.CharField(max_length=120, blank=True)
    source = models.CharField(max_length=10, choices=Source, default=Source.REAL)
    first_date = models.DateField(null=True, blank=True)
    last_date = models.DateField(null=True, blank=True)
    bar_count = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ("symbol",)

    def __str__(self) -> str:
        return self.symbol


class Bar(models.Model):
    """The close of one completed day, adjusted for splits and dividends."""

    # The unique constraint's index begins with the asset already.
    asset = models.ForeignKey(Asset, models.CASCADE, related_name="bars", db_index=False)
    date = models.DateField(db_index=True)
    close = models.FloatField()

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("asset", "date"), name="one_bar_per_asset_and_day"),
            models.CheckConstraint(condition=models.Q(close__gt=0), name="close_is_positive"),
        )

    def __str__(self) -> str:
        return f"{self.asset_id} {self.date:%Y-%m-%d} {self.close:g}"


class DataVersion(models.Model):
    """One state of all bars; the newest is current, the older ones stay readable."""

    name = models.CharField(max_length=40, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)
    row_count = models.PositiveIntegerField(help_text="Days in the panel.")
    asset_count = models.PositiveIntegerField()
    last_date = models.DateField()
    reason = models.CharField(max_length=200)

    class Meta:
        ordering = ("-id",)

    def __str__(self) -> str:
        return self.name


class QuarantinedTick(models.Model):
    """A tick that was refused, with the rule that refused it."""

    symbol = models.CharField(max_length=32)
    # Text, because a refused price may be NaN, which no database column keeps.
    price = models.CharField(max_length=40)
    previous_price = models.FloatField(null=True, blank=True)
    timestamp = models.CharField(max_length=40, help_text="Epoch seconds, as the feed said.")
    feed = models.CharField(max_length=32)
    reason = models.CharField(max_length=20)
    received_at = models.DateTimeField(auto_now_add=True, db_index=True)

    class Meta:
        ordering = ("-id",)

    def __str__(self) -> str:
        return f"{self.symbol} {self.price} ({self.reason})"
