"""The page on which customers are given their own data, and read how to have them erased."""

from typing import cast

import structlog
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from accounts.forms import PasswordForm
from accounts.models import User
from privacy.exporting import export_own_data

logger = structlog.stdlib.get_logger(__name__)


@login_required
@sensitive_post_parameters("password")
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def show_own_data(request: HttpRequest) -> HttpResponse:
    """A file of the customer's data, for the password of an account whose address is known to be the customer's."""
    user = cast(User, request.user)
    form = PasswordForm(request.POST or None, user=user, ip=request.META["REMOTE_ADDR"])
    if not (user.is_email_verified and form.is_valid()):
        return render(request, "privacy/own_data.html", {"form": form})
    logger.info("a customer was given their data", account=user.pk)
    return JsonResponse(
        export_own_data(user=user, session=request.session),
        headers={"Content-Disposition": f'attachment; filename="my-data-{timezone.now():%Y-%m-%d}.json"'},
        json_dumps_params={"ensure_ascii": False, "indent": 2},
    )
