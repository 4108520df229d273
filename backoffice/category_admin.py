"""The admin's pages of categories. Whoever deletes one leaves its products without a category."""

from django.contrib import admin

from backoffice.read_only import SearchAdmin
from catalog.models import Category


@admin.register(Category)
class CategoryAdmin(SearchAdmin):
    list_display = ["name", "slug"]
    search_fields = ["name"]
    fields = ["name", "slug"]
    prepopulated_fields = {"slug": ["name"]}
