"""The cookie by which Putgate knows this site's users."""

import hmac
import json
import time
from base64 import urlsafe_b64encode

from django.conf import settings


def encoded(data):
    return urlsafe_b64encode(data).rstrip(b"=")


def token_for(user):
    claims = {"sub": str(user.pk), "scope": "upload read delete", "exp": int(time.time()) + 3600}
    parts = [encoded(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT"}, claims)]
    message = b".".join(parts)
    signature = hmac.digest(settings.PUTGATE_SECRET.encode(), message, "sha256")
    return b".".join([message, encoded(signature)]).decode()


def token_cookie(get_response):
    def middleware(request):
        response = get_response(request)
        if request.user.is_staff:
            response.set_cookie("putgate_token", token_for(request.user), httponly=True, samesite="Strict")
        return response

    return middleware
