from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models

# It waits for every transaction that began before it, such as an audit's. Nobody waits for it.
BE_PATIENT, BE_AS_BEFORE = "SET lock_timeout = 0", "RESET lock_timeout"


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("orders", "0013_email_prefix")]

    operations = [
        migrations.RunSQL(BE_PATIENT, BE_AS_BEFORE),
        # One that was killed leaves an index that nothing uses.
        migrations.RunSQL("DROP INDEX CONCURRENTLY IF EXISTS order_ended_search", migrations.RunSQL.noop),
        AddIndexConcurrently(
            model_name="order",
            index=GinIndex(
                fields=["code", "email"],
                opclasses=["gin_trgm_ops", "gin_trgm_ops"],
                condition=models.Q(("status", "PENDING"), _negated=True),
                gin_pending_list_limit=256,
                name="order_ended_search",
            ),
        ),
        migrations.RunSQL(BE_AS_BEFORE, BE_PATIENT),
    ]
