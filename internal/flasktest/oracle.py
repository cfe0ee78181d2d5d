"""The Flask oracle: Flask itself, for the tests in Go.

Answers JSON lines on stdin with JSON lines on stdout. Every session is made
and read by a Flask app; nothing here knows how a cookie is encoded. Sessions
are compared by describe(), which tells types apart that are equal in Python.
"""

import json
import math
import random
import struct
import sys
from datetime import datetime, timedelta, timezone
from uuid import UUID

import flask
from flask.json.tag import TaggedJSONSerializer
from flask.sessions import SecureCookieSessionInterface
from itsdangerous import BadData, URLSafeTimedSerializer
from markupsafe import Markup


class Rotating(SecureCookieSessionInterface):
    """SECRET_KEY_FALLBACKS for a Flask that has none yet (before 3.1): the
    list of keys that itsdangerous takes, oldest first."""

    def get_signing_serializer(self, app):
        return URLSafeTimedSerializer(
            app.config["SECRET_KEY_FALLBACKS"][::-1] + [app.secret_key],
            salt=self.salt,
            serializer=self.serializer,
            signer_kwargs={"key_derivation": self.key_derivation, "digest_method": self.digest_method},
        )


def make_app(secret, fallbacks=()):
    app = flask.Flask("oracle")
    app.secret_key = secret
    if fallbacks:
        known = "SECRET_KEY_FALLBACKS" in app.config
        app.config["SECRET_KEY_FALLBACKS"] = list(fallbacks)
        if not known:
            app.session_interface = Rotating()
    return app


apps = {}


def app_for(request):
    key = (request["secret"], tuple(request.get("fallbacks") or ()))
    if key not in apps:
        apps[key] = make_app(*key)
    return apps[key]


def open_session(app, cookie):
    """What Flask makes of a cookie: a session, an empty one where it refuses it."""
    with app.test_request_context(headers={"Cookie": "session=" + cookie}):
        return flask.session._get_current_object()


def cookie_of(app, fill):
    """The cookie that Flask answers with after fill has filled the session."""
    with app.test_request_context():
        session = flask.session._get_current_object()
        fill(session)
        response = app.make_response("")
        app.session_interface.save_session(app, session, response)
    for line in response.headers.getlist("Set-Cookie"):
        return line.split(";")[0].split("=", 1)[1]
    return ""


def describe(value):
    """A text that is the same for two values of the same types and content only."""
    if isinstance(value, dict):
        items = sorted(describe(k) + ":" + describe(v) for k, v in value.items())
        return "{" + ",".join(items) + "}"
    if isinstance(value, (list, tuple)):
        return type(value).__name__ + "(" + ",".join(map(describe, value)) + ")"
    if isinstance(value, str):
        content = value.encode("utf-8", "surrogatepass").hex()
    elif isinstance(value, float):
        content = "nan" if math.isnan(value) else struct.pack(">d", value).hex()
    elif isinstance(value, bytes):
        content = value.hex()
    else:
        content = str(value)
    return type(value).__name__ + "(" + content + ")"


TAGS = list(TaggedJSONSerializer().tags)


class Maker:
    def __init__(self, seed):
        self.r = random.Random(seed)

    def text(self):
        r = self.r
        kind = r.randrange(8)
        if kind == 0:
            return r.choice(["", "a", "NaN", "Infinity", "-Infinity", " t", " d", "null", '{" t":[]}', "\\ud800", "a b"])
        if kind == 1:
            return "".join(chr(r.randrange(0x80)) for _ in range(r.randrange(12)))
        if kind == 2:
            return "".join(chr(r.randrange(0x10000, 0x110000)) for _ in range(r.randrange(4)))
        if kind == 3:  # surrogates, alone and side by side
            return "".join(chr(r.choice([0xD800, 0xDBFF, 0xDC00, 0xDFFF, 0x61, 0x5C, 0x22])) for _ in range(r.randrange(5)))
        if kind == 4:
            return "".join(chr(r.randrange(0x10000)) for _ in range(r.randrange(6)))
        return "".join(r.choice("abcdefghijk_<>&'\"\\/\n\x7f\u00eb\u2028") for _ in range(r.randrange(16)))

    def key(self):
        r = self.r
        kind = r.randrange(10)
        if kind == 0:
            return r.choice(TAGS)
        if kind == 1:
            return r.choice(TAGS) + "__"
        if kind < 5:
            return self.text()
        return r.choice(["user_id", "name", "cart", "a", "b", "c", "csrf_token", "_id", "_fresh"])

    def integer(self):
        r = self.r
        return r.choice([-1, 1]) * r.getrandbits(r.choice([1, 8, 31, 32, 53, 54, 63, 64, 65, 70, 200]))

    def number(self):
        r = self.r
        kind = r.randrange(6)
        if kind == 0:
            return r.choice([math.nan, math.inf, -math.inf, -0.0, 0.0, 1.0, 1e16, 1e-07, 1e15, 1e-4, 1e-5, 1e22, 5e-324, 1.7976931348623157e308])
        if kind == 1:
            return struct.unpack(">d", r.getrandbits(64).to_bytes(8, "big"))[0]
        return r.choice([r.random(), r.uniform(-1e6, 1e6), float(r.randrange(1000)), 10.0 ** r.randrange(-30, 30)])

    def when(self):
        r = self.r
        zone = r.choice([timezone.utc, None, timezone(timedelta(minutes=r.randrange(-840, 840)))])
        return datetime(r.randrange(1000, 9998), r.randrange(1, 13), r.randrange(1, 29), r.randrange(24),
                        r.randrange(60), r.randrange(60), r.randrange(1000000), tzinfo=zone)

    def value(self, depth=0):
        r = self.r
        kind = r.randrange(16 if depth < 4 else 10)
        if kind == 0:
            return None
        if kind == 1:
            return r.random() < 0.5
        if kind in (2, 3):
            return self.integer()
        if kind == 4:
            return self.number()
        if kind in (5, 6):
            return self.text()
        if kind == 7:
            return r.choice([bytes(r.randrange(256) for _ in range(r.randrange(12))), Markup(self.text())])
        if kind == 8:
            return UUID(int=r.getrandbits(128))
        if kind == 9:
            return self.when()
        if kind in (10, 11):
            return [self.value(depth + 1) for _ in range(r.randrange(4))]
        if kind in (12, 13):
            return tuple(self.value(depth + 1) for _ in range(r.randrange(4)))
        if kind == 14:  # looks like a tag
            return {r.choice(TAGS): self.value(depth + 1)}
        return {self.key(): self.value(depth + 1) for _ in range(r.randrange(4))}

    def fill(self, session):
        r = self.r
        for _ in range(r.randrange(1, 6)):
            session[self.key()] = self.value()
        if r.random() < 0.3:
            session.permanent = r.random() < 0.7
        if r.random() < 0.3:
            for _ in range(r.randrange(1, 4)):
                flask.flash(*self.flash())

    def flash(self):
        r = self.r
        message = r.choice([self.text(), Markup(self.text()), self.value()])
        category = r.choice(["message", "error", "", self.text(), self.value() if r.random() < 0.2 else "info"])
        return message, category


def ready(request):
    import importlib.metadata

    return {"flask": importlib.metadata.version("flask"), "python": sys.version.split()[0]}


def make(request):
    """Random sessions: their cookies, and what is in them, as Flask reads it.

    They fit into a browser's cookie. The key "go" is left to Go.
    """
    app, made = app_for(request), []
    seed = request["seed"]
    while len(made) < request["count"]:
        seed += 1
        cookie = cookie_of(app, Maker(seed).fill)
        if len(cookie) < 3700:
            made.append({"cookie": cookie, "is": describe_session(open_session(app, cookie))})
    return made


def describe_session(session):
    return {describe(k): describe(v) for k, v in session.items()}


def read(request):
    """What Flask reads in cookies; null where it refuses one."""
    app = app_for(request)
    return [describe_session(open_session(app, cookie)) for cookie in request["cookies"]]


def takes(request):
    """Which of these cookies Flask takes."""
    app, taken = app_for(request), []
    for cookie in request["cookies"]:
        try:
            if open_session(app, cookie):
                taken.append(cookie)
        except BadData:  # signed, but no session
            pass
    return taken


def dump(request):
    """A session with the values of these Python expressions, as a cookie."""
    app = app_for(request)

    def fill(session):
        names = {"UUID": UUID, "Markup": Markup, "datetime": datetime, "nan": math.nan, "inf": math.inf}
        for key, expression in (request.get("set") or {}).items():
            session[key] = eval(expression, names)
        if request.get("permanent") is not None:
            session.permanent = request["permanent"]
        for category, message in request.get("flashes") or []:
            flask.flash(eval(message, names), category)

    return cookie_of(app, fill)


def flashes(request):
    """get_flashed_messages of Flask, and the cookie that it answers with."""
    app = app_for(request)
    with app.test_request_context(headers={"Cookie": "session=" + request["cookies"][0]}):
        session = flask.session._get_current_object()
        found = flask.get_flashed_messages(with_categories=True)
        again = flask.get_flashed_messages(with_categories=True)
        assert found == again
        response = app.make_response("")
        app.session_interface.save_session(app, session, response)
        return {
            "flashes": [[category, describe(message)] for category, message in found],
            "lines": response.headers.getlist("Set-Cookie"),
        }


def client(request):
    """Flask's own test client, as an app's tests use it: a cookie comes, a
    transaction sets a key, and the cookie goes."""
    app = app_for(request)
    browser = app.test_client()
    name = "session"
    modern = hasattr(browser, "get_cookie")  # from Werkzeug 2.3
    if request["cookies"]:
        server = () if modern else ("localhost",)
        browser.set_cookie(*server, name, request["cookies"][0])
    with browser.session_transaction() as session:
        before = describe_session(session)
        session["python"] = "was here"
    cookie = browser.get_cookie(name) if modern else next(c for c in browser.cookie_jar if c.name == name)
    return {"before": before, "cookie": cookie.value}


COMMANDS = {f.__name__: f for f in (ready, make, read, takes, dump, flashes, client)}

for line in sys.stdin:
    request = json.loads(line)
    print(json.dumps(COMMANDS[request["do"]](request)), flush=True)
