"""The cart's pages. Each change answers with the cart as it is then, and says what could not be done."""

from http import HTTPStatus

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_POST, require_safe

from catalog.models import Product
from orders.admission import find_product_rooms
from shop import cart
from shop.forms import QuantityForm
from shop.session_orders import LAST_ORDER, remove_ordered
from shop.waiting import behind_waiting_room

FULL = gettext_lazy("Your cart is full. Order what is in it first.")


@require_safe
@cache_control(private=True, no_cache=True)
def show_cart(request: HttpRequest) -> HttpResponse:
    remove_ordered(request.session)
    context = {"cart": cart.read_cart(request.session), "last_order": request.session.get(LAST_ORDER)}
    return render(request, "shop/cart.html", context)


@require_POST
@behind_waiting_room(lambda request: find_product_rooms([request.POST.get("sku", "")]))
def add_to_cart(request: HttpRequest) -> HttpResponse:
    """Answer htmx with a line for the product's page, and everybody else with the cart."""
    remove_ordered(request.session)  # first: otherwise the units that are added now would be removed as ordered
    form = QuantityForm(request.POST)
    added, text = _add(request, form)
    if request.headers.get("HX-Request"):
        status = HTTPStatus.OK if added else HTTPStatus.CONFLICT
        return render(request, "shop/_added.html", {"added": added, "text": text}, status=status)
    messages.add_message(request, messages.SUCCESS if added else messages.WARNING, text)
    return redirect("cart")


@require_POST
def change_cart(request: HttpRequest) -> HttpResponse:
    """Save what is typed in every line, whichever button sent it. Checkout begins only if all of it can be bought."""
    remove_ordered(request.session)
    is_saved = _save_quantities(request)
    if "remove" in request.POST:
        cart.set_aside(request.session, sku=request.POST["remove"])
    elif "undo" in request.POST:
        _put_back(request)
    elif "checkout" in request.POST and is_saved:
        content = cart.read_cart(request.session)
        if content.is_buyable:
            return redirect("checkout")
        if not content.is_available:
            messages.warning(request, _("Part of your cart can't be ordered: see below."))
    return redirect("cart")


@require_POST
def fit_cart(request: HttpRequest) -> HttpResponse:
    remove_ordered(request.session)
    _save_quantities(request)
    cart.fit_cart(request.session)
    return redirect("cart")


def _put_back(request: HttpRequest) -> None:
    try:
        cart.put_back(request.session)
    except cart.CartFull:
        messages.warning(request, FULL)


def _save_quantities(request: HttpRequest) -> bool:
    """Save what is typed in each line; say what was not saved, and return whether everything was."""
    quantities, wrong = {}, []
    for sku, quantity in zip(request.POST.getlist("sku"), request.POST.getlist("quantity"), strict=False):
        form = QuantityForm({"sku": sku, "quantity": quantity})
        if form.is_valid():
            quantities[form.cleaned_data["sku"]] = form.cleaned_data["quantity"]
        elif sku != request.POST.get("remove"):
            wrong.append(sku)
    gone = cart.set_quantities(request.session, quantities)
    if gone:
        messages.warning(request, _("Your cart has changed meanwhile: this is what is in it now."))
    for line in cart.read_cart(request.session).lines if wrong else []:
        if line.sku in wrong:
            text = _("%(name)s: choose a whole number from 1 to %(units)d. The quantity is as it was.")
            name = line.product.name if line.product else line.sku
            messages.warning(request, text % {"name": name, "units": line.buyable_units})
    return not gone and not wrong


def _add(request: HttpRequest, form: QuantityForm) -> tuple[bool, str]:
    if not form.is_valid():
        return False, _("Choose a quantity of 1 or more.")
    sku, quantity = form.cleaned_data["sku"], form.cleaned_data["quantity"]
    before = request.session.get(cart.CART, {}).get(sku, 0)
    try:
        now = cart.add_to_cart(request.session, sku=sku, quantity=quantity)
    except (Product.DoesNotExist, cart.SoldOut):
        return False, _("Sorry, this is sold out. Your cart is as it was.")
    except cart.CartFull:
        return False, str(FULL)
    if now < before + quantity:
        text = ngettext(
            "Your cart has %(count)d of these now, which is the most you can have.",
            "Your cart has %(count)d of these now, which is the most you can have.",
            now,
        )
        return True, text % {"count": now}
    return True, ngettext("Added to your cart.", "Added %(count)d to your cart.", quantity) % {"count": quantity}
