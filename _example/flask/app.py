"""The Flask half of the demo. main.go starts it, tells it the secret, and
passes on to it what Gin has no route for. Nothing here knows of Gin."""

import os
import sys
import threading
from datetime import datetime, timezone
from uuid import uuid4

from flask import Flask, flash, redirect, render_template_string, request, session
from werkzeug.serving import make_server

app = Flask(__name__)
app.secret_key = os.environ["SECRET_KEY"]
app.config.update(SESSION_COOKIE_SECURE=True, SESSION_COOKIE_SAMESITE="Lax")

PAGE = os.environ["PAGE"]


@app.get("/flask")
def home():
    session["visits"] = session.get("visits", 0) + 1
    rows = [(key, repr(session[key]), type(session[key]).__name__) for key in sorted(session) if key[0] != "_"]
    return render_template_string(PAGE, rows=rows)


@app.post("/flask/login")
def login():
    name = request.form.get("name", "").strip()[:40]
    if not name:
        flash("Flask needs a name", "error")
        return redirect("/flask", 303)
    session["name"] = name
    session["by"] = "Flask"
    session["since"] = datetime.now(timezone.utc)
    session["ticket"] = (uuid4(), 2**70)  # Go keeps what it has no type for
    session.permanent = "remember" in request.form
    flash(f"{name} logged in with Flask", "success")
    return redirect("/", 303)  # and Gin greets


@app.post("/flask/logout")
def logout():
    session.clear()
    flash("Logged out with Flask", "success")
    return redirect("/", 303)


def end_with_parent():
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    server = make_server("127.0.0.1", 0, app, threaded=True)
    print(server.port, flush=True)
    threading.Thread(target=end_with_parent, daemon=True).start()
    server.serve_forever()
