"""The text that is searched is folded as the query is: see catalog.texts.fold."""

import django.contrib.postgres.indexes
from django.db import migrations, models
from django.db.models.functions import Concat, Lower, Replace


class Migration(migrations.Migration):
    dependencies = [("catalog", "0008_texts_in_one_form")]

    operations = [
        migrations.RemoveIndex(model_name="product", name="product_search_text"),
        migrations.RemoveField(model_name="product", name="search_text"),
        migrations.AddField(
            model_name="product",
            name="search_text",
            field=models.GeneratedField(
                db_persist=True,
                expression=Replace(
                    Lower(Concat("sku", models.Value(" "), "name")), models.Value("ς"), models.Value("σ")
                ),
                output_field=models.TextField(),
            ),
        ),
        migrations.AddIndex(
            model_name="product",
            index=django.contrib.postgres.indexes.GinIndex(
                fields=["search_text"], name="product_search_text", opclasses=["gin_trgm_ops"]
            ),
        ),
    ]
