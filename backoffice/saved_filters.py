"""The filters of a list that staff keep under a name, each of them their own."""

from typing import cast

from django import forms
from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.utils.translation import gettext as _

from accounts.models import User
from backoffice.models import SavedFilter
from catalog.texts import NormalizedField

MOST = 20  # of one person and one list
NOT_KEPT = ("q", "p", "e", "all", "_facets")  # the words of a search may name a customer; the others are no filters


class SaveForm(forms.Form):
    name = NormalizedField(max_length=SavedFilter.NAME_LENGTH)
    query = forms.CharField()

    def clean_query(self) -> str:
        """As it is stored: there a letter that is not ASCII takes several characters."""
        kept = _keep_filters(self.cleaned_data["query"])
        if len(kept) > SavedFilter.QUERY_LENGTH:
            raise forms.ValidationError("No column has room for it.")
        return kept


def find_saved_filters(request: HttpRequest, page: str) -> QuerySet[SavedFilter]:
    """Those that whoever asks has saved for this list."""
    return SavedFilter.objects.filter(user=request.user.pk, page=page)


def change_saved_filters(request: HttpRequest, page: str) -> HttpResponse:
    """Save the filters under the name that is sent, or forget those that a button names. Then show the list again."""
    if "forget" in request.POST:
        name = request.POST["forget"].replace("\0", " ")
        find_saved_filters(request, page).filter(name=name).delete()
    else:
        _save(request, page)
    return redirect(f"{request.path}?{request.POST.get('query', '')}")


def _save(request: HttpRequest, page: str) -> None:
    form = SaveForm(request.POST)
    if not form.is_valid():
        messages.error(request, _("Nothing was saved: give the filters a name."))
        return
    name, query = form.cleaned_data["name"], form.cleaned_data["query"]
    if find_saved_filters(request, page).exclude(name=name).count() >= MOST:
        messages.error(request, _("Nothing was saved: forget one of the saved filters first."))
        return
    SavedFilter.objects.update_or_create(user=cast(User, request.user), page=page, name=name, defaults={"query": query})
    messages.success(request, _("Saved: %(name)s.") % {"name": name})


def _keep_filters(query: str) -> str:
    kept = QueryDict(query, mutable=True)
    for name in NOT_KEPT:
        kept.pop(name, None)
    return kept.urlencode()
