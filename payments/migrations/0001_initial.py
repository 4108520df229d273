import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
    ]

    operations = [
        migrations.CreateModel(
            name='Payment',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('reference', models.CharField(max_length=32, unique=True, verbose_name='reference')),
                ('amount', models.PositiveBigIntegerField(help_text='In minor units.', verbose_name='amount')),
                ('currency', models.CharField(max_length=3, verbose_name='currency')),
                ('payment_method', models.CharField(max_length=64, verbose_name='payment method')),
                ('status', models.CharField(choices=[('PENDING', 'Pending'), ('SENT', 'Sent'), ('SUCCEEDED', 'Succeeded'), ('DECLINED', 'Declined'), ('CANCELLED', 'Cancelled')], db_default='PENDING', default='PENDING', max_length=9, verbose_name='status')),
                ('requests', models.PositiveIntegerField(db_default=0, default=0, help_text='How often the provider was asked.', verbose_name='requests')),
                ('provider_id', models.CharField(blank=True, max_length=255, null=True, unique=True, verbose_name='id at the provider')),
                ('only_refused', models.BooleanField(db_default=False, help_text='The provider did nothing at all: it refused every request.', verbose_name='only refused')),
                ('decline_code', models.CharField(blank=True, db_default='', max_length=64, verbose_name='decline code')),
                ('last_error', models.TextField(blank=True, db_default='', help_text='What went wrong when the provider was last asked.', verbose_name='last error')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), verbose_name='created at')),
                ('sent_at', models.DateTimeField(blank=True, null=True, verbose_name='sent at')),
                ('cancel_requested_at', models.DateTimeField(blank=True, help_text='No charge begins after that.', null=True, verbose_name='cancel requested at')),
                ('in_flight_until', models.DateTimeField(blank=True, help_text='Somebody asks the provider: no other does until then.', null=True, verbose_name='in flight until')),
                ('in_flight_by', models.CharField(blank=True, db_default='', help_text='The process that asks: host, pid and start.', max_length=100, verbose_name='in flight by')),
                ('answered_at', models.DateTimeField(blank=True, help_text='When its outcome was written down.', null=True, verbose_name='answered at')),
            ],
            options={
                'verbose_name': 'payment',
                'verbose_name_plural': 'payments',
                'indexes': [models.Index(fields=['created_at'], name='payment_created_at'), models.Index(condition=models.Q(('status', 'SENT')), fields=['sent_at'], name='payment_unknown')],
                'constraints': [models.CheckConstraint(condition=models.Q(('amount__gt', 0)), name='payment_amount_is_positive'), models.CheckConstraint(condition=models.Q(('status__in', ['PENDING', 'SENT', 'SUCCEEDED', 'DECLINED', 'CANCELLED'])), name='payment_status_is_known'), models.CheckConstraint(condition=models.Q(models.Q(('provider_id__isnull', False), ('status', 'SUCCEEDED')), models.Q(models.Q(('status', 'SUCCEEDED'), _negated=True), ('provider_id__isnull', True)), _connector='OR'), name='payment_succeeded_iff_provider_id'), models.CheckConstraint(condition=models.Q(models.Q(('status', 'DECLINED'), models.Q(('decline_code', ''), _negated=True)), models.Q(models.Q(('status', 'DECLINED'), _negated=True), ('decline_code', '')), _connector='OR'), name='payment_declined_iff_code'), models.CheckConstraint(condition=models.Q(('status__in', ['PENDING', 'CANCELLED']), ('sent_at__isnull', False), _connector='OR'), name='payment_sent_before_its_answer')],
            },
        ),
    ]
