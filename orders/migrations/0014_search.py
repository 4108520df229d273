from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("orders", "0013_email_prefix")]

    operations = [
        AddIndexConcurrently(
            model_name="order",
            index=GinIndex(
                fields=["code", "email"],
                opclasses=["gin_trgm_ops", "gin_trgm_ops"],
                condition=models.Q(("status", "PENDING"), _negated=True),
                name="order_ended_search",
            ),
        ),
    ]
