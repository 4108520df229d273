import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

# The rules stand in the triggers' conditions where they can. The sum is asked under the payment's lock, so that of two
# refunds at the same time the second one sees the first, whoever writes them.
TRIGGERS = """
CREATE TRIGGER refund_keeps_what_is_asked BEFORE UPDATE ON payments_refund FOR EACH ROW
WHEN ((OLD.payment_id, OLD.number, OLD.key, OLD.gateway, OLD.amount, OLD.adopted)
    IS DISTINCT FROM (NEW.payment_id, NEW.number, NEW.key, NEW.gateway, NEW.amount, NEW.adopted))
EXECUTE FUNCTION payments_refuse('the provider has bound the key of a refund to what was first asked');

CREATE TRIGGER refund_is_answered_once BEFORE UPDATE ON payments_refund FOR EACH ROW
WHEN (OLD.status <> 'REQUESTED' AND (OLD.status, OLD.provider_id, OLD.failure_code, OLD.answered_at)
        IS DISTINCT FROM (NEW.status, NEW.provider_id, NEW.failure_code, NEW.answered_at)
    AND NOT (OLD.status = 'SUCCEEDED' AND NEW.status = 'FAILED' AND OLD.provider_id = NEW.provider_id))
EXECUTE FUNCTION payments_refuse('an answered refund keeps its answer, but for one that fails later');

CREATE TRIGGER refund_is_kept BEFORE DELETE ON payments_refund FOR EACH ROW
EXECUTE FUNCTION payments_refuse('a refund is never deleted');

CREATE FUNCTION payments_refund_is_covered() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    charged bigint;
BEGIN
    SELECT amount INTO charged FROM payments_payment WHERE id = NEW.payment_id FOR UPDATE;
    IF (SELECT SUM(amount) FROM payments_refund WHERE payment_id = NEW.payment_id AND status <> 'FAILED') > charged THEN
        RAISE EXCEPTION '%: refunds of payment % exceed what was charged', TG_NAME, NEW.payment_id
        USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = TG_NAME, TABLE = TG_TABLE_NAME;
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER refund_is_at_most_what_was_charged AFTER INSERT ON payments_refund FOR EACH ROW
EXECUTE FUNCTION payments_refund_is_covered();
"""

UNDO = """
DROP TRIGGER refund_is_at_most_what_was_charged ON payments_refund;
DROP FUNCTION payments_refund_is_covered();
DROP TRIGGER refund_is_kept ON payments_refund;
DROP TRIGGER refund_is_answered_once ON payments_refund;
DROP TRIGGER refund_keeps_what_is_asked ON payments_refund;
"""


class Migration(migrations.Migration):

    dependencies = [
        ('payments', '0004_webhook_events'),
    ]

    operations = [
        migrations.CreateModel(
            name='Refund',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.PositiveSmallIntegerField(help_text='1 is the first refund of its payment.', verbose_name='number')),
                ('key', models.CharField(help_text='The idempotency key of all its requests.', max_length=64, unique=True, verbose_name='key')),
                ('gateway', models.CharField(max_length=32, verbose_name='gateway')),
                ('amount', models.PositiveBigIntegerField(help_text='In minor units.', verbose_name='amount')),
                ('status', models.CharField(choices=[('REQUESTED', 'Requested'), ('SUCCEEDED', 'Succeeded'), ('FAILED', 'Failed')], db_default='REQUESTED', default='REQUESTED', max_length=9, verbose_name='status')),
                ('provider_id', models.CharField(blank=True, max_length=255, null=True, verbose_name='id at the provider')),
                ('adopted', models.BooleanField(db_default=False, default=False, help_text='It began at the provider, and not here.', verbose_name='adopted')),
                ('failure_code', models.CharField(blank=True, db_default='', default='', max_length=64, verbose_name='failure code')),
                ('requests', models.PositiveIntegerField(db_default=0, default=0, help_text='How often the provider was asked.', verbose_name='requests')),
                ('last_error', models.TextField(blank=True, db_default='', default='', help_text='What went wrong when the provider was last asked.', verbose_name='last error')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), verbose_name='created at')),
                ('sent_at', models.DateTimeField(blank=True, null=True, verbose_name='sent at')),
                ('in_flight_until', models.DateTimeField(blank=True, help_text='Somebody asks the provider: no other does until then.', null=True, verbose_name='in flight until')),
                ('answered_at', models.DateTimeField(blank=True, help_text='When its outcome was written down.', null=True, verbose_name='answered at')),
                ('checked_at', models.DateTimeField(blank=True, help_text='When the provider last said that it still holds.', null=True, verbose_name='checked at')),
                ('recorded_at', models.DateTimeField(blank=True, help_text='When whoever asked for it has drawn the consequences of its outcome, such as the return of stock.', null=True, verbose_name='recorded at')),
                ('sweep_after', models.DateTimeField(blank=True, help_text='When the sweep takes it up. Empty: there is nothing to do.', null=True, verbose_name='sweep after')),
                ('sweeps', models.PositiveIntegerField(db_default=0, default=0, help_text='How often it was swept.', verbose_name='sweeps')),
                ('payment', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='refunds', to='payments.payment', verbose_name='payment')),
            ],
            options={
                'verbose_name': 'refund',
                'verbose_name_plural': 'refunds',
                'indexes': [models.Index(condition=models.Q(('sweep_after__isnull', False)), fields=['sweep_after'], name='refund_to_sweep'), models.Index(fields=['created_at'], name='refund_created_at')],
                'constraints': [models.UniqueConstraint(fields=('payment', 'number'), name='refund_number_once'), models.UniqueConstraint(fields=('provider_id', 'gateway'), name='refund_provider_id_once'), models.CheckConstraint(condition=models.Q(('number__gt', 0)), name='refund_number_is_positive'), models.CheckConstraint(condition=models.Q(('amount__gt', 0)), name='refund_amount_is_positive'), models.CheckConstraint(condition=models.Q(('status__in', ['REQUESTED', 'SUCCEEDED', 'FAILED'])), name='refund_status_is_known'), models.CheckConstraint(condition=models.Q(models.Q(('status', 'SUCCEEDED'), _negated=True), ('provider_id__isnull', False), _connector='OR'), name='refund_succeeded_has_an_id'), models.CheckConstraint(condition=models.Q(models.Q(('status', 'FAILED'), models.Q(('failure_code', ''), _negated=True)), models.Q(models.Q(('status', 'FAILED'), _negated=True), ('failure_code', '')), _connector='OR'), name='refund_failed_iff_code'), models.CheckConstraint(condition=models.Q(models.Q(('answered_at__isnull', True), ('status', 'REQUESTED')), models.Q(models.Q(('status', 'REQUESTED'), _negated=True), ('answered_at__isnull', False)), _connector='OR'), name='refund_answered_iff_known'), models.CheckConstraint(condition=models.Q(models.Q(('recorded_at__isnull', True), ('sweep_after__isnull', False)), models.Q(('recorded_at__isnull', False), models.Q(('status', 'REQUESTED'), _negated=True)), _connector='OR'), name='refund_is_swept_until_recorded')],
            },
        ),
        migrations.RunSQL(TRIGGERS, UNDO),
    ]
