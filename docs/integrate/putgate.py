"""What an app's backend does with Putgate: tokens for its users, claims, webhooks."""

import base64
import hashlib
import hmac
import json
import os
import time
import urllib.error
import urllib.request

import jwt

URL = os.environ["PUTGATE_URL"]
# The secret of `hs256_secret_files`.
JWT_SECRET = os.environ["PUTGATE_JWT_SECRET"]
# The secret of `[webhook]`: `whsec_…`.
WEBHOOK_SECRET = os.environ["PUTGATE_WEBHOOK_SECRET"]


def token(user, scope="upload read", minutes=15, **claims):
    """A token for one user. `slots=["photos"]` and `refs=["post:42"]` narrow what it may do."""
    claims |= {"sub": str(user), "scope": scope, "exp": int(time.time()) + minutes * 60}
    return jwt.encode(claims, JWT_SECRET, algorithm="HS256")


def claim(user, files, ref):
    """Takes a user's files for an object of the app: all of them or none. A refusal is a problem
    with a `code`; `claimed_now` of each file says whether an earlier call did it."""
    request = urllib.request.Request(
        f"{URL}/v1/claims",
        json.dumps({"owner": str(user), "files": files, "ref": ref}).encode(),
        {"Authorization": f"Bearer {token('backend', 'manage', 1)}", "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)["files"], None
    except urllib.error.HTTPError as refusal:
        return [], json.load(refusal)


def event(headers, body):
    """The event of a webhook that Putgate signed in the last five minutes, or None. The same `id`
    may come again: keep those you have seen."""
    number, sent, signatures = (headers.get(f"webhook-{name}", "") for name in ("id", "timestamp", "signature"))
    if not sent.isdecimal() or len(sent) > 12 or abs(time.time() - int(sent)) > 300:
        return None
    key = base64.b64decode(WEBHOOK_SECRET.removeprefix("whsec_"))
    digest = hmac.new(key, f"{number}.{sent}.".encode() + body, hashlib.sha256).digest()
    wanted = b"v1," + base64.b64encode(digest)
    if not any(hmac.compare_digest(wanted, given.encode()) for given in signatures.split(" ")):
        return None
    return {"id": number, **json.loads(body)}
