"""The admin's pages of audits: the runs of the last month, and what each found."""

from django.contrib import admin
from django.utils.html import format_html, format_html_join
from django.utils.timesince import timesince
from django.utils.translation import gettext_lazy as _

from audit.models import AuditRun
from backoffice.order_links import link_to_order
from backoffice.read_only import ReadOnlyAdmin


@admin.register(AuditRun)
class AuditRunAdmin(ReadOnlyAdmin):
    list_display = ["created_at", "ok", "age"]
    list_filter = ["ok"]
    fields = ["created_at", "ok", "findings"]
    sortable_by = ()

    @admin.display(description=_("age"))
    def age(self, run: AuditRun) -> str:
        return timesince(run.created_at)

    @admin.display(description=_("report"))
    def findings(self, run: AuditRun) -> str:
        """What was counted, and below it each thing that was wrong, with the codes of its orders as links."""
        if error := run.report.get("error"):
            return str(error)
        counted = ", ".join(f"{name}: {count}" for name, count in run.report.get("checked", {}).items())
        wrong = [
            (
                found["invariant"],
                found["detail"],
                format_html_join(", ", "{}", [(link_to_order(c),) for c in found["codes"]]),
            )
            for found in run.report.get("violations", [])
        ]
        return format_html("<p>{}</p>{}", counted, format_html_join("", "<p><strong>{}</strong> {}: {}</p>", wrong))
