from django.contrib.postgres.operations import AddConstraintNotValid, ValidateConstraint
from django.db import migrations, models

KINDS = ['placed', 'swept', 'held', 'paying_again', 'transfer', 'cancel_requested', 'review_needed', 'resumed', 'reviewed', 'confirmed', 'cancelled', 'refund_requested', 'refunded', 'refund_failed', 'dispute_opened', 'dispute_closed', 'reconciled', 'noted']
CHOICES = [('placed', 'Placed'), ('swept', 'Swept'), ('held', 'Held after a decline'), ('paying_again', 'Another payment'), ('transfer', 'Transfer recorded'), ('cancel_requested', 'Cancel requested'), ('review_needed', 'Needs review'), ('resumed', 'Taken up again'), ('reviewed', 'Reviewed'), ('confirmed', 'Confirmed'), ('cancelled', 'Cancelled'), ('refund_requested', 'Refund requested'), ('refunded', 'Refunded'), ('refund_failed', 'Refund failed'), ('dispute_opened', 'Dispute opened'), ('dispute_closed', 'Dispute closed'), ('reconciled', 'Reconciled with the provider'), ('noted', 'Note')]
KNOWN = models.CheckConstraint(condition=models.Q(kind__in=KINDS), name="event_kind_is_known")


class Migration(migrations.Migration):
    atomic = False  # the events are read for the new constraint without a lock that an order would wait for
    dependencies = [("orders", "0011_archived_orders")]

    operations = [
        migrations.AlterField(
            model_name="orderevent",
            name="kind",
            field=models.CharField(choices=CHOICES, max_length=16, verbose_name="kind"),
        ),
        migrations.RemoveConstraint(model_name="orderevent", name="event_kind_is_known"),
        AddConstraintNotValid(model_name="orderevent", constraint=KNOWN),
        ValidateConstraint(model_name="orderevent", name="event_kind_is_known"),
    ]
