from django.db import migrations, models


# Number and gateway belong to what is asked for: the key is made of the number.
KEEP_WHAT_IS_ASKED = """
DROP TRIGGER payment_keeps_what_is_asked ON payments_payment;
CREATE TRIGGER payment_keeps_what_is_asked BEFORE UPDATE ON payments_payment FOR EACH ROW
WHEN ((OLD.reference, OLD.number, OLD.gateway, OLD.amount, OLD.currency, OLD.payment_method)
    IS DISTINCT FROM (NEW.reference, NEW.number, NEW.gateway, NEW.amount, NEW.currency, NEW.payment_method))
EXECUTE FUNCTION payments_refuse('the provider has bound the key of a payment to what was first asked');
"""

UNDO = """
DROP TRIGGER payment_keeps_what_is_asked ON payments_payment;
CREATE TRIGGER payment_keeps_what_is_asked BEFORE UPDATE ON payments_payment FOR EACH ROW
WHEN ((OLD.reference, OLD.amount, OLD.currency, OLD.payment_method)
    IS DISTINCT FROM (NEW.reference, NEW.amount, NEW.currency, NEW.payment_method))
EXECUTE FUNCTION payments_refuse('the provider has bound the key of a payment to what was first asked');
"""


class Migration(migrations.Migration):

    dependencies = [
        ('payments', '0002_triggers'),
    ]

    operations = [
        migrations.AddField(
            model_name='payment',
            name='closed_at',
            field=models.DateTimeField(blank=True, help_text='When the provider cancelled the declined payment for good. The next one is sent after that.', null=True, verbose_name='closed at'),
        ),
        migrations.AddField(
            model_name='payment',
            name='gateway',
            field=models.CharField(db_default='stripe', default='stripe', help_text='Where it is sent to: a name in the settings.', max_length=32, verbose_name='gateway'),
        ),
        migrations.AddField(
            model_name='payment',
            name='number',
            field=models.PositiveSmallIntegerField(db_default=1, default=1, help_text='1 is the first payment of its reference.', verbose_name='number'),
        ),
        migrations.AlterField(
            model_name='payment',
            name='provider_id',
            field=models.CharField(blank=True, max_length=255, null=True, verbose_name='id at the provider'),
        ),
        migrations.AlterField(
            model_name='payment',
            name='reference',
            field=models.CharField(max_length=32, verbose_name='reference'),
        ),
        migrations.AddIndex(
            model_name='payment',
            index=models.Index(fields=['reference'], name='payment_reference_like', opclasses=['varchar_pattern_ops']),
        ),
        migrations.AddConstraint(
            model_name='payment',
            constraint=models.UniqueConstraint(fields=('reference', 'number'), name='payment_number_once'),
        ),
        migrations.AddConstraint(
            model_name='payment',
            constraint=models.UniqueConstraint(fields=('provider_id', 'gateway'), name='payment_provider_id_once'),
        ),
        migrations.AddConstraint(
            model_name='payment',
            constraint=models.UniqueConstraint(condition=models.Q(('status__in', ['PENDING', 'SENT', 'SUCCEEDED'])), fields=('reference',), name='payment_one_at_a_time'),
        ),
        migrations.AddConstraint(
            model_name='payment',
            constraint=models.CheckConstraint(condition=models.Q(('number__gt', 0)), name='payment_number_is_positive'),
        ),
        migrations.RunSQL(KEEP_WHAT_IS_ASKED, UNDO),
    ]
