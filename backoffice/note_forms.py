"""The note in which staff say why they do something."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from catalog.texts import NormalizedField


class NoteField(NormalizedField):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            label=_("Note"),
            max_length=500,
            widget=forms.Textarea(attrs={"rows": 3, "class": "vLargeTextField"}),
            error_messages={"required": _("Write a note: it is kept in the order's timeline.")},
            **kwargs,
        )


class NoteForm(forms.Form):
    note = NoteField(
        help_text=_("Why you do this. Kept in the order's timeline, with your name; the customer does not see it.")
    )

    def __init__(self, *args: Any, required: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["note"].required = required
