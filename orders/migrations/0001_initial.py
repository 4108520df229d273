import datetime
import django.core.serializers.json
import django.db.models.deletion
import django.db.models.expressions
import django.db.models.functions.datetime
import languages
import orders.codes
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('catalog', '0001_initial'),
        ('payments', '0001_initial'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Order',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('code', models.CharField(default=orders.codes.make_code, editable=False, max_length=18, unique=True, verbose_name='code')),
                ('checkout_key', models.CharField(help_text="The client's idempotency key.", max_length=255, unique=True, verbose_name='checkout key')),
                ('checkout_hash', models.CharField(help_text='SHA-256 of what was asked for under that key.', max_length=64, verbose_name='checkout hash')),
                ('email', models.EmailField(max_length=254, verbose_name='email')),
                ('language', models.CharField(default=languages.current_language, help_text='Of the mails to the customer.', max_length=16, verbose_name='language')),
                ('status', models.CharField(choices=[('PENDING', 'Pending'), ('CONFIRMED', 'Confirmed'), ('CANCELLED', 'Cancelled')], db_default='PENDING', default='PENDING', max_length=9, verbose_name='status')),
                ('cancel_reason', models.CharField(blank=True, choices=[('card_declined', 'Card declined'), ('expired', 'Expired'), ('customer', 'Customer'), ('staff', 'Staff')], db_default='', help_text='While the order is pending: who asked to cancel it.', max_length=13, verbose_name='cancel reason')),
                ('currency', models.CharField(max_length=3, verbose_name='currency')),
                ('total', models.PositiveBigIntegerField(help_text='In minor units.', verbose_name='total')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), verbose_name='created at')),
                ('expires_at', models.DateTimeField(help_text='When an unpaid order is cancelled.', verbose_name='expires at')),
                ('finalized_at', models.DateTimeField(blank=True, null=True, verbose_name='finalized at')),
                ('sweep_after', models.DateTimeField(blank=True, help_text='When the sweep takes it up, unless it is final by then. Empty: it gave up.', null=True, verbose_name='sweep after')),
                ('sweeps', models.PositiveIntegerField(db_default=0, default=0, help_text='How often it was swept.', verbose_name='sweeps')),
                ('finalize_attempts', models.PositiveIntegerField(db_default=0, default=0, help_text="How often with its payment's answer known.", verbose_name='finalize attempts')),
                ('needs_review', models.BooleanField(db_default=False, default=False, verbose_name='needs review')),
                ('review_reason', models.TextField(blank=True, db_default='', verbose_name='review reason')),
                ('payment', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, to='payments.payment', verbose_name='payment')),
                ('user', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='orders', to=settings.AUTH_USER_MODEL, verbose_name='user')),
            ],
            options={
                'verbose_name': 'order',
                'verbose_name_plural': 'orders',
                'ordering': ['-created_at'],
                'permissions': [('export_order', 'Can export orders')],
            },
        ),
        migrations.CreateModel(
            name='OrderEvent',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('placed', 'Placed'), ('swept', 'Swept'), ('cancel_requested', 'Cancel requested'), ('review_needed', 'Needs review'), ('resumed', 'Taken up again'), ('reviewed', 'Reviewed'), ('confirmed', 'Confirmed'), ('cancelled', 'Cancelled')], max_length=16, verbose_name='kind')),
                ('data', models.JSONField(default=dict, encoder=django.core.serializers.json.DjangoJSONEncoder, verbose_name='data')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), verbose_name='created at')),
                ('actor', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, to=settings.AUTH_USER_MODEL, verbose_name='actor')),
                ('order', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='events', to='orders.order', verbose_name='order')),
            ],
            options={
                'verbose_name': 'order event',
                'verbose_name_plural': 'order events',
                'ordering': ['pk'],
            },
        ),
        migrations.CreateModel(
            name='OrderLine',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('sku', models.CharField(max_length=64, verbose_name='SKU')),
                ('name', models.CharField(max_length=200, verbose_name='name')),
                ('price', models.PositiveBigIntegerField(help_text='Of one unit, in minor units.', verbose_name='price')),
                ('quantity', models.PositiveIntegerField(verbose_name='quantity')),
                ('total', models.GeneratedField(db_persist=True, expression=django.db.models.expressions.CombinedExpression(models.F('price'), '*', models.F('quantity')), output_field=models.BigIntegerField(), verbose_name='total')),
                ('order', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='lines', to='orders.order', verbose_name='order')),
                ('product', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='catalog.product', verbose_name='product')),
            ],
            options={
                'verbose_name': 'order line',
                'verbose_name_plural': 'order lines',
                'ordering': ['pk'],
            },
        ),
        migrations.CreateModel(
            name='OrderMail',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), verbose_name='created at')),
                ('send_after', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), verbose_name='send after')),
                ('tries', models.PositiveIntegerField(db_default=0, default=0, verbose_name='tries')),
                ('sent_at', models.DateTimeField(blank=True, null=True, verbose_name='sent at')),
                ('kind', models.CharField(choices=[('confirmed', 'Confirmed'), ('cancelled', 'Cancelled')], max_length=9, verbose_name='kind')),
                ('order', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='mails', to='orders.order', verbose_name='order')),
            ],
            options={
                'verbose_name': 'order mail',
                'verbose_name_plural': 'order mails',
                'ordering': ['pk'],
            },
        ),
        migrations.AddIndex(
            model_name='order',
            index=models.Index(condition=models.Q(('status', 'PENDING')), fields=['sweep_after'], name='order_to_sweep'),
        ),
        migrations.AddIndex(
            model_name='order',
            index=models.Index(fields=['-created_at'], name='order_newest_first'),
        ),
        migrations.AddIndex(
            model_name='order',
            index=models.Index(fields=['email'], name='order_email'),
        ),
        migrations.AddIndex(
            model_name='order',
            index=models.Index(condition=models.Q(('status', 'PENDING')), fields=['-created_at'], name='order_pending_newest_first'),
        ),
        migrations.AddIndex(
            model_name='order',
            index=models.Index(condition=models.Q(('needs_review', True)), fields=['-created_at'], name='order_review_newest_first'),
        ),
        migrations.AddIndex(
            model_name='order',
            index=models.Index(condition=models.Q(('status', 'CONFIRMED')), fields=['finalized_at'], include=('created_at', 'currency', 'total'), name='order_confirmed_at'),
        ),
        migrations.AddConstraint(
            model_name='order',
            constraint=models.CheckConstraint(condition=models.Q(('status__in', ['PENDING', 'CONFIRMED', 'CANCELLED'])), name='order_status_is_known'),
        ),
        migrations.AddConstraint(
            model_name='order',
            constraint=models.CheckConstraint(condition=models.Q(('total__gt', 0)), name='order_total_is_positive'),
        ),
        migrations.AddConstraint(
            model_name='order',
            constraint=models.CheckConstraint(condition=models.Q(('email__regex', '^[ -@\\[-~]+$')), name='order_email_is_ascii_lower'),
        ),
        migrations.AddConstraint(
            model_name='order',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('finalized_at__isnull', True), ('status', 'PENDING')), models.Q(models.Q(('status', 'PENDING'), _negated=True), ('finalized_at__isnull', False)), _connector='OR'), name='order_finalized_iff_final'),
        ),
        migrations.AddConstraint(
            model_name='order',
            constraint=models.CheckConstraint(condition=models.Q(('status', 'PENDING'), models.Q(('cancel_reason', ''), ('status', 'CONFIRMED')), models.Q(('status', 'CANCELLED'), models.Q(('cancel_reason', ''), _negated=True)), _connector='OR'), name='order_cancelled_iff_reason'),
        ),
        migrations.AddConstraint(
            model_name='order',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('status', 'PENDING'), _negated=True), ('needs_review', True), ('sweep_after__isnull', False), _connector='OR'), name='order_pending_is_swept_or_reviewed'),
        ),
        migrations.AddConstraint(
            model_name='order',
            constraint=models.CheckConstraint(condition=models.Q(('expires_at__lte', django.db.models.expressions.CombinedExpression(models.F('created_at'), '+', models.Value(datetime.timedelta(days=366))))), name='order_expires_within_a_year'),
        ),
        migrations.AddIndex(
            model_name='orderevent',
            index=models.Index(condition=models.Q(('kind', 'swept')), fields=['created_at'], name='event_swept_at'),
        ),
        migrations.AddConstraint(
            model_name='orderevent',
            constraint=models.UniqueConstraint(condition=models.Q(('kind__in', ['confirmed', 'cancelled'])), fields=('order',), name='event_order_ends_once'),
        ),
        migrations.AddConstraint(
            model_name='orderevent',
            constraint=models.UniqueConstraint(condition=models.Q(('kind', 'placed')), fields=('order',), name='event_order_begins_once'),
        ),
        migrations.AddConstraint(
            model_name='orderevent',
            constraint=models.CheckConstraint(condition=models.Q(('kind__in', ['placed', 'swept', 'cancel_requested', 'review_needed', 'resumed', 'reviewed', 'confirmed', 'cancelled'])), name='event_kind_is_known'),
        ),
        migrations.AddConstraint(
            model_name='orderline',
            constraint=models.UniqueConstraint(fields=('order', 'product'), name='line_product_once'),
        ),
        migrations.AddConstraint(
            model_name='orderline',
            constraint=models.CheckConstraint(condition=models.Q(('quantity__gt', 0)), name='line_quantity_is_positive'),
        ),
        migrations.AddConstraint(
            model_name='orderline',
            constraint=models.CheckConstraint(condition=models.Q(('price__gt', 0)), name='line_price_is_positive'),
        ),
        migrations.AddIndex(
            model_name='ordermail',
            index=models.Index(condition=models.Q(('sent_at__isnull', True)), fields=['send_after'], name='mail_to_send'),
        ),
        migrations.AddConstraint(
            model_name='ordermail',
            constraint=models.UniqueConstraint(fields=('order', 'kind'), name='mail_once'),
        ),
    ]
