from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models
from django.db.models.functions import Lower

from catalog.texts import Constant

SIGNS = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~ \xa0¡¿«»‘’“”„…–—·•★"
SORT_NAME = models.Func(Lower("name"), Constant(SIGNS), function="LTRIM", output_field=models.TextField())
FOR_SALE = models.Q(("active", True))
INDEXES = [
    models.Index(SORT_NAME, "id", include=["name"], condition=FOR_SALE, name="product_for_sale_by_sort_name"),
    models.Index(fields=["price", "id"], condition=FOR_SALE, name="product_for_sale_by_price"),
    models.Index(
        "category", SORT_NAME, "id", include=["name"], condition=FOR_SALE, name="product_for_sale_by_category"
    ),
]

# It waits for every transaction that began before it, such as an audit's. Nobody waits for it.
BE_PATIENT, BE_AS_BEFORE = "SET lock_timeout = 0", "RESET lock_timeout"


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("catalog", "0005_categories")]

    operations = [
        migrations.AlterModelOptions(
            name="product",
            options={"ordering": [SORT_NAME, "pk"], "verbose_name": "product", "verbose_name_plural": "products"},
        ),
        migrations.RunSQL(BE_PATIENT, BE_AS_BEFORE),
        # One that was killed leaves an index that nothing uses.
        *[migrations.RunSQL(f"DROP INDEX CONCURRENTLY IF EXISTS {index.name}", migrations.RunSQL.noop) for index in INDEXES],
        *[AddIndexConcurrently(model_name="product", index=index) for index in INDEXES],
        migrations.RunSQL(BE_AS_BEFORE, BE_PATIENT),
    ]
