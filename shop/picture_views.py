"""Serves pictures of products from the storage, where no proxy serves MEDIA_ROOT itself."""

from django.core.files.storage import default_storage
from django.http import FileResponse, Http404, HttpRequest
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe


@require_safe
@cache_control(public=True, max_age=365 * 24 * 3600, immutable=True)
def show_picture(request: HttpRequest, *, name: str) -> FileResponse:
    """The name says what is in the file, so that browsers and proxies keep it for good."""
    try:
        return FileResponse(default_storage.open(f"products/{name}"), content_type="image/webp")
    except FileNotFoundError as error:
        raise Http404 from error
