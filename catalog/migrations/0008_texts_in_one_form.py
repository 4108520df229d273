"""Each SKU and name is brought into NFC, and kept in it; what can't be seen is taken out of SKUs.

Two products whose SKUs become one are nobody's to choose between: nothing is changed, and both are named.
"""

import logging
import unicodedata
from collections import defaultdict

import catalog.texts
from django.db import migrations, models

logger = logging.getLogger(__name__)
LINE_BREAKS = {"Cc", "Zl", "Zp"}


class SeveralProducts(Exception):
    """Products whose SKUs are one."""


def unite(apps, schema_editor):
    products = apps.get_model("catalog", "Product").objects
    changed, claims = {}, defaultdict(list)
    for pk, sku, name, description in products.values_list("pk", "sku", "name", "description").iterator():
        texts = _clean_sku(sku), _clean_name(name), unicodedata.normalize("NFC", description)
        claims[texts[0]].append((pk, sku))
        if texts != (sku, name, description):
            changed[pk] = texts, sku
    if wrong := {sku: found for sku, found in claims.items() if len(found) > 1 or not sku}:
        names = "; ".join(
            f"{sku!r}: " + ", ".join(f"{old!a} (id {pk})" for pk, old in found) for sku, found in sorted(wrong.items())
        )
        raise SeveralProducts(f"These products share a SKU. Give all but one of each another SKU: {names}")
    for pk, ((sku, name, description), old) in changed.items():
        products.filter(pk=pk).update(sku=sku, name=name, description=description)
        if sku != old:
            logger.warning("product %s had the SKU %a and has %r now", pk, old, sku)


def _clean_sku(sku):
    spaced = "".join(" " if unicodedata.category(c) in LINE_BREAKS | {"Zs"} else c for c in sku)
    seen = "".join(c for c in spaced if unicodedata.category(c) != "Cf")
    return unicodedata.normalize("NFC", seen.strip())


def _clean_name(name):
    line = "".join(" " if unicodedata.category(c) in LINE_BREAKS else c for c in name)
    return unicodedata.normalize("NFC", line.strip())


def is_nfc(column):
    return models.Func(
        models.F(column), output_field=models.BooleanField(), template="%(expressions)s IS NFC NORMALIZED"
    )


class Migration(migrations.Migration):
    dependencies = [("catalog", "0007_reservation_first")]

    operations = [
        migrations.RunPython(unite, migrations.RunPython.noop),
        migrations.AlterField(
            model_name="product",
            name="sku",
            field=models.CharField(
                max_length=64, unique=True, validators=[catalog.texts.validate_sku], verbose_name="SKU"
            ),
        ),
        migrations.AlterField(
            model_name="product",
            name="name",
            field=models.CharField(max_length=200, validators=[catalog.texts.validate_name], verbose_name="name"),
        ),
        migrations.AddConstraint(
            model_name="product",
            constraint=models.CheckConstraint(condition=is_nfc("sku"), name="product_sku_is_nfc"),
        ),
        migrations.AddConstraint(
            model_name="product",
            constraint=models.CheckConstraint(condition=is_nfc("name"), name="product_name_is_nfc"),
        ),
    ]
