"""The picture of a product: which files there are of it, and what it shows in words."""

from django.contrib.postgres.fields import ArrayField
from django.core.files.storage import default_storage
from django.db import models
from django.utils.translation import gettext_lazy as _


def name_file(product_id: int, digest: str, width: int) -> str:
    """The file's name never has another content, so that everybody may keep it for good."""
    return f"products/{product_id}-{digest}-{width}.webp"


class Picture(models.Model):
    """The picture of a product. The row is separate, so that no statement of an order ever reads it."""

    product = models.OneToOneField(
        "catalog.Product", on_delete=models.PROTECT, primary_key=True, verbose_name=_("product"), related_name="picture"
    )
    digest = models.CharField(_("digest"), max_length=20, help_text=_("Of the file that was uploaded."))
    widths = ArrayField(
        models.PositiveIntegerField(), verbose_name=_("widths"), help_text=_("Of the files, in pixels.")
    )
    width = models.PositiveIntegerField(_("width"), help_text=_("Of the largest file."))
    height = models.PositiveIntegerField(_("height"))
    alt = models.CharField(_("alternative text"), max_length=200)

    class Meta:
        verbose_name = _("picture")
        verbose_name_plural = _("pictures")

    def __str__(self) -> str:
        return self.alt

    @property
    def names(self) -> list[str]:
        """The files' names in the storage, the smallest first."""
        return [name_file(self.product_id, self.digest, width) for width in self.widths]

    @property
    def url(self) -> str:
        """Of the smallest file."""
        return default_storage.url(self.names[0])

    @property
    def srcset(self) -> str:
        """All files with their widths: the browser takes the one that it needs."""
        urls = map(default_storage.url, self.names)
        return ", ".join(f"{url} {width}w" for url, width in zip(urls, self.widths, strict=True))
