"""What staff are told of a dispute by mail."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from mail_queue import QueuedMail
from payments.dispute_models import Dispute


class DisputeMail(QueuedMail):
    """A mail to staff: written with what it tells of, sent afterwards to the addresses in STAFF_EMAILS.

    One for each status that a dispute has had. A bank may change its mind, and back: then it is sent once more.
    """

    class Kind(models.TextChoices):
        OPENED = "opened", _("Opened")
        WON = "won", _("Won")
        LOST = "lost", _("Lost")

    dispute = models.ForeignKey(
        Dispute,
        on_delete=models.PROTECT,
        related_name="+",
        verbose_name=_("dispute"),
        db_index=False,  # dispute_mail_once begins with it
    )
    kind = models.CharField(_("kind"), max_length=6, choices=Kind)

    class Meta:
        verbose_name = _("dispute mail")
        verbose_name_plural = _("dispute mails")
        ordering = ["pk"]
        indexes = [models.Index(fields=["send_after"], condition=Q(sent_at__isnull=True), name="dispute_mail_to_send")]
        constraints = [models.UniqueConstraint(fields=["dispute", "kind"], name="dispute_mail_once")]

    def __str__(self) -> str:
        return f"{self.kind} of {self.dispute.provider_id}"
