"""Somebody of staff, with no more permissions than a test gives."""

from django.contrib.auth.models import Permission
from django.test import Client

from accounts.models import User


def log_in_staff(*permissions: str) -> Client:
    """By their code names, such as view_order."""
    staff = User.objects.create_user("staff@example.com", is_staff=True)
    staff.user_permissions.set([Permission.objects.get(codename=name) for name in permissions])
    client = Client()
    client.force_login(staff)
    return client
