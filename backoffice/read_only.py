"""What the pages of the admin have in common: all search alike and keep filters, and most of them change nothing."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from backoffice.saved_filters import change_saved_filters, find_saved_filters
from catalog.texts import normalize


class SearchAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # Django's own is not generic
    """Finds a text however it was typed: names and SKUs are stored in one form of Unicode. Keeps filters by name."""

    def get_search_results(self, request: HttpRequest, queryset: QuerySet[Any], search_term: str) -> Any:
        return super().get_search_results(request, queryset, normalize(search_term))

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        page = self.opts.label_lower
        if "saved_filter" in request.POST and self.has_view_permission(request):
            return change_saved_filters(request, page)
        saved = {"saved_filters": find_saved_filters(request, page), "may_save_filters": True}
        return super().changelist_view(request, saved | (extra_context or {}))

    def render_page(self, request: HttpRequest, template: str, *, title: object, **context: Any) -> HttpResponse:
        """A page of our own in the admin's frame, such as a form that asks before anything is done."""
        frame = {
            **self.admin_site.each_context(request),
            "title": title,
            "original": title,  # the last of the admin's breadcrumbs
            "opts": self.opts,
            "media": self.media,
            "has_view_permission": self.has_view_permission(request),
        }
        return TemplateResponse(request, template, frame | context)


class ReadOnlyAdmin(SearchAdmin):
    """Shows rows that nobody adds, edits or deletes by hand."""

    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
