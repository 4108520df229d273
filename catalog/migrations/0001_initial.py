import catalog.texts
import django.contrib.postgres.indexes
import django.db.models.deletion
import django.db.models.functions.datetime
import django.db.models.functions.text
from django.conf import settings
from django.contrib.postgres.operations import TrigramExtension
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        TrigramExtension(),  # trusted since PostgreSQL 13: the owner of the database may create it
        migrations.CreateModel(
            name='Product',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('sku', models.CharField(max_length=64, unique=True, validators=[catalog.texts.validate_sku], verbose_name='SKU')),
                ('name', models.CharField(max_length=200, validators=[catalog.texts.validate_name], verbose_name='name')),
                ('slug', models.SlugField(blank=True, max_length=200, verbose_name='slug')),
                ('description', models.TextField(blank=True, verbose_name='description')),
                ('price', models.PositiveBigIntegerField(blank=True, help_text='In minor units: 255 is 2.55.', null=True, verbose_name='price')),
                ('currency', models.CharField(help_text='ISO 4217.', max_length=3, verbose_name='currency')),
                ('max_quantity', models.PositiveIntegerField(blank=True, help_text='Units in one order. Empty: as many as the shop sells of any product at once.', null=True, verbose_name='max quantity')),
                ('active', models.BooleanField(default=True, help_text='Can be bought.', verbose_name='active')),
                ('search_text', models.GeneratedField(db_persist=True, expression=django.db.models.functions.text.Replace(django.db.models.functions.text.Lower(django.db.models.functions.text.Concat('sku', models.Value(' '), 'name')), models.Value('ς'), models.Value('σ')), output_field=models.TextField())),
            ],
            options={
                'verbose_name': 'product',
                'verbose_name_plural': 'products',
                'ordering': ['name', 'pk'],
            },
        ),
        migrations.CreateModel(
            name='StockMovement',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('RECEIVED', 'Received'), ('ADJUSTED', 'Adjusted'), ('RESERVED', 'Reserved'), ('RELEASED', 'Released'), ('DEDUCTED', 'Deducted'), ('RETURNED', 'Returned')], max_length=8, verbose_name='kind')),
                ('quantity', models.BigIntegerField(verbose_name='quantity')),
                ('reference', models.CharField(max_length=64, verbose_name='reference')),
                ('reason', models.CharField(blank=True, max_length=200, verbose_name='reason')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), verbose_name='created at')),
            ],
            options={
                'verbose_name': 'stock movement',
                'verbose_name_plural': 'stock movements',
                'ordering': ['pk'],
            },
        ),
        migrations.CreateModel(
            name='Stock',
            fields=[
                ('product', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, primary_key=True, serialize=False, to='catalog.product', verbose_name='product')),
                ('on_hand', models.PositiveBigIntegerField(default=0, verbose_name='on hand')),
                ('reserved', models.PositiveBigIntegerField(default=0, verbose_name='reserved')),
            ],
            options={
                'verbose_name': 'stock',
                'verbose_name_plural': 'stock',
            },
        ),
        migrations.AddIndex(
            model_name='product',
            index=models.Index(condition=models.Q(('active', True)), fields=['name', 'id'], name='product_for_sale_by_name'),
        ),
        migrations.AddIndex(
            model_name='product',
            index=django.contrib.postgres.indexes.GinIndex(fields=['search_text'], name='product_search_text', opclasses=['gin_trgm_ops']),
        ),
        migrations.AddConstraint(
            model_name='product',
            constraint=models.CheckConstraint(condition=models.Func(models.F('sku'), output_field=models.BooleanField(), template='%(expressions)s IS NFC NORMALIZED'), name='product_sku_is_nfc'),
        ),
        migrations.AddConstraint(
            model_name='product',
            constraint=models.CheckConstraint(condition=models.Func(models.F('name'), output_field=models.BooleanField(), template='%(expressions)s IS NFC NORMALIZED'), name='product_name_is_nfc'),
        ),
        migrations.AddConstraint(
            model_name='product',
            constraint=models.CheckConstraint(condition=models.Q(('price__gt', 0)), name='product_price_is_positive', violation_error_message='The price must be more than 0.'),
        ),
        migrations.AddConstraint(
            model_name='product',
            constraint=models.CheckConstraint(condition=models.Q(('active', False), ('price__isnull', False), _connector='OR'), name='product_for_sale_has_a_price', violation_error_message="A product without a price can't be active."),
        ),
        migrations.AddConstraint(
            model_name='product',
            constraint=models.CheckConstraint(condition=models.Q(('max_quantity__gt', 0)), name='product_max_quantity_is_positive', violation_error_message='The max quantity must be more than 0.'),
        ),
        migrations.AddConstraint(
            model_name='product',
            constraint=models.CheckConstraint(condition=models.Q(('currency__regex', '^[A-Z]{3}$')), name='product_currency_is_iso_4217', violation_error_message='The currency is three capital letters, such as GBP.'),
        ),
        migrations.AddField(
            model_name='stockmovement',
            name='actor',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, to=settings.AUTH_USER_MODEL, verbose_name='actor'),
        ),
        migrations.AddField(
            model_name='stockmovement',
            name='stock',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='movements', to='catalog.stock', verbose_name='stock'),
        ),
        migrations.AddConstraint(
            model_name='stock',
            constraint=models.CheckConstraint(condition=models.Q(('reserved__gte', 0), ('reserved__lte', models.F('on_hand'))), name='stock_reserved_is_on_hand'),
        ),
        migrations.AddIndex(
            model_name='stockmovement',
            index=models.Index(fields=['reference'], name='movement_reference'),
        ),
        migrations.AddConstraint(
            model_name='stockmovement',
            constraint=models.UniqueConstraint(fields=('stock', 'reference', 'kind'), name='movement_happens_once'),
        ),
        migrations.AddConstraint(
            model_name='stockmovement',
            constraint=models.UniqueConstraint(condition=models.Q(('kind__in', ['DEDUCTED', 'RELEASED'])), fields=('stock', 'reference'), name='movement_reservation_ends_once'),
        ),
        migrations.AddConstraint(
            model_name='stockmovement',
            constraint=models.CheckConstraint(condition=models.Q(('quantity__gt', 0), ('kind', 'ADJUSTED'), _connector='OR'), name='movement_quantity_is_positive'),
        ),
        migrations.AddConstraint(
            model_name='stockmovement',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('kind', 'ADJUSTED'), _negated=True), models.Q(('reason', ''), _negated=True), _connector='OR'), name='movement_adjustment_has_a_reason'),
        ),
        migrations.AddConstraint(
            model_name='stockmovement',
            constraint=models.CheckConstraint(condition=models.Q(('kind__in', ['RECEIVED', 'ADJUSTED', 'RESERVED', 'RELEASED', 'DEDUCTED', 'RETURNED'])), name='movement_kind_is_known'),
        ),
    ]
