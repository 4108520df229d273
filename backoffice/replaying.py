"""What the pages of rows have in common that a sweep takes up: their states, and to let it take some up again."""

from typing import Any

from celery import Task
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from kombu.exceptions import OperationalError

from backoffice.read_only import ReadOnlyAdmin


class StateFilter(admin.SimpleListFilter):
    """Each state is a question of the model's QuerySet."""

    title = _("state")
    parameter_name = "state"
    states: dict[str, Promise]

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return list(self.states.items())

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        state = self.value()
        if state not in self.states:
            return queryset
        chosen: QuerySet[Any] = getattr(queryset.model._default_manager.all(), state)()
        return queryset & chosen


class ReplayAdmin(ReadOnlyAdmin):
    """The subclass has the action `replay`, for whoever has the permission."""

    actions = ["replay"]
    permission: str

    def has_replay_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(self.permission)

    def wake(self, request: HttpRequest, sweep: "Task[..., Any]", text: str) -> None:
        """Say what was done, and have the sweep run now. If the broker is down, say that too."""
        self.message_user(request, text)
        try:
            sweep.delay()
        except OperationalError:
            down = gettext("The task queue is down: the next sweep takes them up.")
            self.message_user(request, down, messages.WARNING)
