import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
    ]

    operations = [
        migrations.CreateModel(
            name='AuditRun',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('ok', models.BooleanField(verbose_name='clean')),
                ('report', models.JSONField(verbose_name='report')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), verbose_name='created at')),
            ],
            options={
                'verbose_name': 'audit run',
                'verbose_name_plural': 'audit runs',
                'ordering': ['-pk'],
            },
        ),
        migrations.CreateModel(
            name='Tick',
            fields=[
                ('task', models.CharField(max_length=255, primary_key=True, serialize=False, verbose_name='task')),
                ('ended_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), verbose_name='ended at')),
                ('clock_skew', models.FloatField(default=0, help_text="Seconds that its worker's clock was ahead of the database's.", verbose_name='clock skew')),
            ],
            options={
                'verbose_name': 'tick',
                'verbose_name_plural': 'ticks',
            },
        ),
    ]
