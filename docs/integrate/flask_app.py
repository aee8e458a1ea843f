"""A Flask app whose users upload through Putgate."""

import os

from flask import Flask, abort, jsonify, request, session

import putgate

app = Flask(__name__)
app.secret_key = os.environ["APP_SECRET"]
posts, seen = {}, {}


def user():
    return session.get("user") or abort(401)


@app.post("/login")
def login():
    # Yours asks for a password.
    session["user"] = request.json["user"]
    return "", 204


@app.post("/upload-token")
def upload_token():
    return jsonify(token=putgate.token(user(), slots=["photos"]))


@app.post("/posts/<int:number>")
def save_post(number):
    files, problem = putgate.claim(user(), request.json["files"], f"post:{number}")
    if problem:
        return jsonify(problem), problem["status"]
    posts[number] = [file["id"] for file in files]
    return jsonify(photos=posts[number])


@app.post("/hooks/putgate")
def hook():
    event = putgate.event(request.headers, request.get_data())
    if event is None:
        abort(401)
    if event["id"] not in seen:
        seen[event["id"]] = event["type"]
    return "", 204


@app.get("/events")
def events():
    return jsonify(list(seen.values()))
