from django.db import migrations, models

# What an unsent mail of the kind `closed` would say today.
SPLIT = """
UPDATE orders_disputemail mail SET kind = CASE dispute.status WHEN 'LOST' THEN 'lost' ELSE 'won' END
FROM payments_dispute dispute WHERE dispute.id = mail.dispute_id AND mail.kind = 'closed'
"""


class Migration(migrations.Migration):
    dependencies = [("orders", "0008_refund_permission"), ("payments", "0008_disputes")]

    operations = [
        migrations.AlterField(
            model_name="disputemail",
            name="kind",
            field=models.CharField(
                choices=[("opened", "Opened"), ("won", "Won"), ("lost", "Lost")], max_length=6, verbose_name="kind"
            ),
        ),
        migrations.RunSQL(SPLIT, "UPDATE orders_disputemail SET kind = 'closed' WHERE kind = 'won'"),
    ]
