from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("orders", "0012_notes")]

    operations = [
        AddIndexConcurrently(
            model_name="order",
            index=models.Index(fields=["email"], name="order_email_prefix", opclasses=["varchar_pattern_ops"]),
        ),
        RemoveIndexConcurrently(model_name="order", name="order_email"),
    ]
