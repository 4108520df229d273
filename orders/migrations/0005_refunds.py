import django.db.models.deletion
import django.db.models.functions.comparison
from django.conf import settings
from django.db import migrations, models

# The lines of a refund are written with it, and never change.
TRIGGERS = """
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON orders_refundline FOR EACH ROW
EXECUTE FUNCTION orders_refuse('orders_refundline is append-only');
"""

UNDO = "DROP TRIGGER append_only ON orders_refundline"


class Migration(migrations.Migration):

    dependencies = [
        ('orders', '0004_fewer_indexes'),
        ('payments', '0005_refunds'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='RefundLine',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('quantity', models.PositiveIntegerField(verbose_name='quantity')),
                ('restock', models.BooleanField(help_text='The units go back to stock once the money has gone back.', verbose_name='restock')),
            ],
            options={
                'verbose_name': 'refund line',
                'verbose_name_plural': 'refund lines',
                'ordering': ['pk'],
            },
        ),
        migrations.RemoveConstraint(
            model_name='orderevent',
            name='event_kind_is_known',
        ),
        migrations.RemoveConstraint(
            model_name='ordermail',
            name='mail_once',
        ),
        migrations.AddField(
            model_name='order',
            name='refunded',
            field=models.PositiveBigIntegerField(db_default=0, default=0, help_text='What was given back, in minor units.', verbose_name='refunded'),
        ),
        migrations.AddField(
            model_name='ordermail',
            name='refund',
            field=models.ForeignKey(blank=True, db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='payments.refund', verbose_name='refund'),
        ),
        migrations.AlterField(
            model_name='orderevent',
            name='kind',
            field=models.CharField(choices=[('placed', 'Placed'), ('swept', 'Swept'), ('held', 'Held after a decline'), ('paying_again', 'Another payment'), ('cancel_requested', 'Cancel requested'), ('review_needed', 'Needs review'), ('resumed', 'Taken up again'), ('reviewed', 'Reviewed'), ('confirmed', 'Confirmed'), ('cancelled', 'Cancelled'), ('refund_requested', 'Refund requested'), ('refunded', 'Refunded'), ('refund_failed', 'Refund failed')], max_length=16, verbose_name='kind'),
        ),
        migrations.AlterField(
            model_name='ordermail',
            name='kind',
            field=models.CharField(choices=[('confirmed', 'Confirmed'), ('cancelled', 'Cancelled'), ('refunded', 'Refunded')], max_length=9, verbose_name='kind'),
        ),
        migrations.AddConstraint(
            model_name='order',
            constraint=models.CheckConstraint(condition=models.Q(('refunded__gte', 0), ('refunded__lte', models.F('total'))), name='order_refunded_is_at_most_the_total'),
        ),
        migrations.AddConstraint(
            model_name='orderevent',
            constraint=models.CheckConstraint(condition=models.Q(('kind__in', ['placed', 'swept', 'held', 'paying_again', 'cancel_requested', 'review_needed', 'resumed', 'reviewed', 'confirmed', 'cancelled', 'refund_requested', 'refunded', 'refund_failed'])), name='event_kind_is_known'),
        ),
        migrations.AddConstraint(
            model_name='ordermail',
            constraint=models.UniqueConstraint(models.F('order'), models.F('kind'), django.db.models.functions.comparison.Coalesce('refund', 0), name='mail_once'),
        ),
        migrations.AddConstraint(
            model_name='ordermail',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('kind', 'refunded'), ('refund__isnull', False)), models.Q(models.Q(('kind', 'refunded'), _negated=True), ('refund__isnull', True)), _connector='OR'), name='mail_refunded_iff_refund'),
        ),
        migrations.AddField(
            model_name='refundline',
            name='line',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='orders.orderline', verbose_name='order line'),
        ),
        migrations.AddField(
            model_name='refundline',
            name='refund',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='lines', to='payments.refund', verbose_name='refund'),
        ),
        migrations.AddConstraint(
            model_name='refundline',
            constraint=models.UniqueConstraint(fields=('refund', 'line'), name='refund_line_once'),
        ),
        migrations.AddConstraint(
            model_name='refundline',
            constraint=models.CheckConstraint(condition=models.Q(('quantity__gt', 0)), name='refund_line_quantity_is_positive'),
        ),
        migrations.RunSQL(TRIGGERS, UNDO),
    ]
