"""The admin's pages of audits: the runs of the last month, and what each found."""

from django.contrib import admin
from django.utils.timesince import timesince
from django.utils.translation import gettext_lazy as _

from audit.models import AuditRun
from backoffice.read_only import ReadOnlyAdmin


@admin.register(AuditRun)
class AuditRunAdmin(ReadOnlyAdmin):
    list_display = ["created_at", "ok", "age"]
    list_filter = ["ok"]
    fields = ["created_at", "ok", "report"]
    sortable_by = ()

    @admin.display(description=_("age"))
    def age(self, run: AuditRun) -> str:
        return timesince(run.created_at)
