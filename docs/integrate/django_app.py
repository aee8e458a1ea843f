"""A Django app whose users upload through Putgate; settings, views and URLs in one file."""

import json
import os

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse, JsonResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_POST

import putgate

settings.configure(
    SECRET_KEY=os.environ["APP_SECRET"],
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
    ],
    SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
)
posts, seen = {}, {}


def signed_in(view):
    """Your `login_required`."""

    def checked(request, **parts):
        user = request.session.get("user")
        return view(request, user, **parts) if user else HttpResponse(status=401)

    return checked


# Yours asks for a password, and forms of your pages carry the CSRF token.
@csrf_exempt
@require_POST
def login(request):
    request.session["user"] = json.loads(request.body)["user"]
    return HttpResponse(status=204)


@csrf_exempt
@require_POST
@signed_in
def upload_token(request, user):
    return JsonResponse({"token": putgate.token(user, slots=["photos"])})


@csrf_exempt
@require_POST
@signed_in
def save_post(request, user, number):
    files, problem = putgate.claim(user, json.loads(request.body)["files"], f"post:{number}")
    if problem:
        return JsonResponse(problem, status=problem["status"])
    posts[number] = [file["id"] for file in files]
    return JsonResponse({"photos": posts[number]})


# The signature is what says whom it is from.
@csrf_exempt
@require_POST
def hook(request):
    event = putgate.event(request.headers, request.body)
    if event is None:
        return HttpResponse(status=401)
    if event["id"] not in seen:
        seen[event["id"]] = event["type"]
    return HttpResponse(status=204)


@require_GET
def events(request):
    return JsonResponse(list(seen.values()), safe=False)


urlpatterns = [
    path("login", login),
    path("upload-token", upload_token),
    path("posts/<int:number>", save_post),
    path("hooks/putgate", hook),
    path("events", events),
]
app = get_wsgi_application()
