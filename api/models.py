"""What the API has answered under a key. It is the one face with a table: nobody else asks for it."""

from django.db import models
from django.db.models.functions import Now


class AnsweredCall(models.Model):
    """A call that changed something, and its answer: the same call again gets the same answer."""

    client = models.CharField(max_length=64, help_text="Empty: a guest.")
    address = models.CharField(max_length=255)
    key = models.CharField(max_length=255)
    body_hash = models.CharField(max_length=64, help_text="SHA-256 of what was asked for.")
    status = models.PositiveSmallIntegerField()
    answer = models.TextField()
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["client", "address", "key"], name="call_is_answered_once")]
        indexes = [models.Index(fields=["created_at"], name="call_answered_at")]

    def __str__(self) -> str:
        return f"{self.address} {self.key}"
