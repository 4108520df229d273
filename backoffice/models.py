"""The filters of the admin's lists that staff have saved."""

from django.conf import settings
from django.db import models


class SavedFilter(models.Model):
    """The filters of a list, which one of staff keeps under a name and sets again by one click."""

    NAME_LENGTH, QUERY_LENGTH = 60, 1_000

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        related_name="+",
        db_index=False,  # saved_filter_once begins with it
    )
    page = models.CharField(max_length=100, help_text="The label of the list's model.")
    name = models.CharField(max_length=NAME_LENGTH)
    query = models.CharField(max_length=QUERY_LENGTH, help_text="The filters and the order of the list's address.")

    class Meta:
        default_permissions = ()  # everybody has their own
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["user", "page", "name"], name="saved_filter_once")]

    def __str__(self) -> str:
        return self.name
