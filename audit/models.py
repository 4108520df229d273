"""What the audits found, and when each scheduled task last ended."""

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _


class AuditRun(models.Model):
    """What one audit found."""

    ok = models.BooleanField(_("clean"))
    report = models.JSONField(_("report"))
    created_at = models.DateTimeField(_("created at"), db_default=Now())

    class Meta:
        verbose_name = _("audit run")
        verbose_name_plural = _("audit runs")
        ordering = ["-pk"]

    def __str__(self) -> str:
        time = f"{self.created_at:%Y-%m-%d %H:%M}"
        return (gettext("%(time)s: clean") if self.ok else gettext("%(time)s: NOT clean")) % {"time": time}


class Tick(models.Model):
    """When a scheduled task last ended. Until it has ended once: when it was first scheduled."""

    task = models.CharField(_("task"), max_length=255, primary_key=True)
    ended_at = models.DateTimeField(_("ended at"), db_default=Now())
    clock_skew = models.FloatField(
        _("clock skew"), default=0, help_text=_("Seconds that its worker's clock was ahead of the database's.")
    )

    class Meta:
        verbose_name = _("tick")
        verbose_name_plural = _("ticks")

    def __str__(self) -> str:
        return self.task
