"""Somebody of staff, with no more permissions than a test gives, and a form that comes too late."""

from django.contrib.auth.models import Permission
from django.test import Client

from accounts.models import User
from backoffice.refund_forms import RefundForm
from backoffice.transfer_forms import ArrivalForm
from tests.builders import everything, tamper


def log_in_staff(*permissions: str) -> Client:
    """By their code names, such as view_order."""
    staff = User.objects.create_user("staff@example.com", is_staff=True)
    staff.user_permissions.set([Permission.objects.get(codename=name) for name in permissions])
    client = Client()
    client.force_login(staff)
    return client


def assert_refused_once_archived(form: RefundForm | ArrivalForm, *, actor: User) -> None:
    """Its order is archived after the form was read."""
    assert form.is_valid()
    tamper("UPDATE orders_order SET code = 'GONE'")
    before = everything()

    assert form.save(actor=actor) is None

    assert form.non_field_errors() == ["The order is archived."]
    assert everything() == before
