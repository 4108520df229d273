from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('orders', '0002_triggers'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name='orderevent',
            name='event_kind_is_known',
        ),
        migrations.AddField(
            model_name='order',
            name='held_until',
            field=models.DateTimeField(blank=True, help_text='Its payment was declined: another can be tried until then.', null=True, verbose_name='held until'),
        ),
        migrations.AddField(
            model_name='order',
            name='hold_on_decline',
            field=models.PositiveIntegerField(db_default=0, default=0, help_text='For how many seconds it stays reserved after a decline, so that another payment can be tried.', verbose_name='hold on decline'),
        ),
        migrations.AlterField(
            model_name='orderevent',
            name='kind',
            field=models.CharField(choices=[('placed', 'Placed'), ('swept', 'Swept'), ('held', 'Held after a decline'), ('paying_again', 'Another payment'), ('cancel_requested', 'Cancel requested'), ('review_needed', 'Needs review'), ('resumed', 'Taken up again'), ('reviewed', 'Reviewed'), ('confirmed', 'Confirmed'), ('cancelled', 'Cancelled')], max_length=16, verbose_name='kind'),
        ),
        migrations.AddConstraint(
            model_name='orderevent',
            constraint=models.CheckConstraint(condition=models.Q(('kind__in', ['placed', 'swept', 'held', 'paying_again', 'cancel_requested', 'review_needed', 'resumed', 'reviewed', 'confirmed', 'cancelled'])), name='event_kind_is_known'),
        ),
    ]
