"""The filters that staff have saved."""

from django.conf import settings
from django.db import models


class SavedFilter(models.Model):
    """A name that one of staff gave to the filters of a list, which it sets again by one click."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        related_name="+",
        db_index=False,  # saved_filter_once begins with it
    )
    page = models.CharField(max_length=100, help_text="The label of the list's model.")
    name = models.CharField(max_length=60)
    query = models.CharField(max_length=1_000, help_text="The filters and the order of the list's address.")

    class Meta:
        default_permissions = ()  # everybody has their own
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["user", "page", "name"], name="saved_filter_once")]

    def __str__(self) -> str:
        return self.name
