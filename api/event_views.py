"""The feed of events, which a client with the scope `events` follows by a cursor."""

import re
from typing import Annotated

from django.http import HttpRequest
from ninja import Query, Router

from api.clients import KNOWN, Scope, check_scope
from api.documents import refuses
from api.schemas import EventAnswer, EventPage
from events_out import feed
from events_out.event_types import TYPES
from events_out.payloads import describe_event

router = Router(auth=KNOWN, tags=["events"])
Cursor = Annotated[str, Query(pattern=r"^(evt_[0-9]{1,18})?$", description="The `next` of the page before.")]
WantedType = Annotated[str, Query(pattern=f"^({'|'.join(map(re.escape, TYPES))})?$", description="Empty: all of them.")]


@router.get("events", response=EventPage, **refuses(400, 401, 403))
def list_events(request: HttpRequest, after: Cursor = "", type: WantedType = "") -> EventPage:
    check_scope(request, Scope.EVENTS)
    last = int(after.removeprefix("evt_") or 0)
    events = feed.list_events(after=last, types=[type] if type else [])
    page = [EventAnswer(**describe_event(event)) for event in events]
    return EventPage(data=page, next=page[-1].id if page else f"evt_{last}")
