"""Users, who log in by their email: customers and staff. And the mails with links that they ask for."""

from typing import Any, ClassVar

from django.contrib.auth.models import AbstractUser, UserManager
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts.email_addresses import ASCII_LOWER, EmailAddressModelField, read_email_address
from accounts.token_models import ApiToken
from mail_queue import QueuedMail

__all__ = ["AccountMail", "ApiToken", "EmailUserManager", "User"]  # Django looks for models here


class EmailUserManager(UserManager["User"]):
    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "User":  # type: ignore[override]
        user = self.model(email=read_email_address(email), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> "User":  # type: ignore[override]
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)

    def get_by_natural_key(self, username: str | None) -> "User":
        try:
            return self.get(email=read_email_address(username or ""))
        except ValidationError as error:
            raise self.model.DoesNotExist from error


class User(AbstractUser):
    username = None  # type: ignore[assignment]
    email = EmailAddressModelField(_("email address"), unique=True)
    # Not a boolean: a new email differs from this one, so it is not verified.
    verified_email = models.EmailField(_("verified email"), blank=True, editable=False)

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    objects: ClassVar[EmailUserManager] = EmailUserManager()

    class Meta(AbstractUser.Meta):
        constraints = [
            # A pattern can't hold all of read_email_address. This part is enough: one mailbox can't have two accounts.
            models.CheckConstraint(condition=Q(email__regex=ASCII_LOWER), name="user_email_is_ascii_lower")
        ]

    @property
    def is_email_verified(self) -> bool:
        return bool(self.verified_email == self.email)


class AccountMail(QueuedMail):
    """A mail with a link that somebody asked for. The link is made when the mail is sent, and is stored nowhere."""

    class Kind(models.TextChoices):
        SIGN_UP = "sign_up", _("Create an account")
        RESET = "reset", _("Reset a password")
        VERIFY = "verify", _("Confirm an address")

    kind = models.CharField(_("kind"), max_length=7, choices=Kind)
    email = models.EmailField(_("email address"))
    language = models.CharField(_("language"), max_length=16)
    shop_url = models.CharField(_("shop's URL"), max_length=300, blank=True)

    class Meta:
        verbose_name = _("account mail")
        verbose_name_plural = _("account mails")
        ordering = ["pk"]
        indexes = [models.Index(fields=["send_after"], condition=Q(sent_at__isnull=True), name="account_mail_to_send")]

    def __str__(self) -> str:
        return f"{self.kind} {self.pk}"
