from django.db import models
from django_jsonform.models.fields import JSONField


class Album(models.Model):
    DATA = {
        "type": "object",
        "keys": {
            "cover": {"type": "string", "format": "file-url"},
            "contract": {"type": "string", "format": "file-url", "handler": "/putgate/u/contracts/-/jsonform"},
        },
    }
    data = JSONField(schema=DATA)
