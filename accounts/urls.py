"""The URLs of the account."""

from django.contrib.auth import views as auth
from django.urls import path
from django.views.generic import TemplateView

from accounts import views
from accounts.forms import LogInForm

urlpatterns = [
    path("sign-up/", views.sign_up, name="sign-up"),
    path("sign-up/sent/", TemplateView.as_view(template_name="accounts/sign_up_sent.html"), name="sign-up-sent"),
    path("sign-up/<token>/", views.create_account, name="create-account"),
    path(
        "log-in/",
        auth.LoginView.as_view(
            template_name="accounts/log_in.html", authentication_form=LogInForm, redirect_authenticated_user=True
        ),
        name="log-in",
    ),
    path("log-out/", auth.LogoutView.as_view(), name="log-out"),
    path("verify/", views.send_verification, name="send-verification"),
    path("verify/<token>/", views.verify, name="verify-email"),
    path("password/", views.reset_password, name="password-reset"),
    path(
        "password/sent/",
        auth.PasswordResetDoneView.as_view(template_name="accounts/password_reset_sent.html"),
        name="password-reset-sent",
    ),
    path(
        "password/<uidb64>/<token>/",
        views.ChoosePasswordView.as_view(),
        name="password-reset-confirm",
    ),
]
