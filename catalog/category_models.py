"""The categories of products: customers choose one in the list; staff, files and the API name it."""

from django.db import models
from django.utils.text import slugify
from django.utils.translation import gettext_lazy as _

from catalog.texts import NormalizedCharField, validate_name

MAX_CATEGORY = 100  # characters of its name


class Category(models.Model):
    """What a product belongs to, such as Mugs. Whoever deletes it leaves its products without one."""

    name: "models.CharField[str, str]" = NormalizedCharField(
        _("name"), max_length=MAX_CATEGORY, validators=[validate_name]
    )
    slug = models.SlugField(
        _("slug"), max_length=MAX_CATEGORY, unique=True, allow_unicode=True, help_text=_("How addresses name it.")
    )

    class Meta:
        verbose_name = _("category")
        verbose_name_plural = _("categories")
        ordering = ["name", "pk"]

    def __str__(self) -> str:
        return self.name


def make_slug(name: str) -> str:
    """The slug of a category with that name. Empty: the name has neither letters nor digits."""
    return slugify(name, allow_unicode=True)[:MAX_CATEGORY]
