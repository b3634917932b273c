"""A web application that signs its users in with Authlib and FastAPI:

    pico-auth client create --kind web --redirect-uri http://localhost:3000/callback
    pip install -r requirements.txt
    CLIENT_ID=... CLIENT_SECRET=... python main.py
"""

import os
import secrets
from html import escape
from urllib.parse import urlencode

import uvicorn
from authlib.integrations.starlette_client import OAuth, OAuthError
from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, PlainTextResponse, RedirectResponse
from starlette.middleware.sessions import SessionMiddleware

issuer = os.environ.get("ISSUER", "http://localhost:8100")
port = int(os.environ.get("PORT", "3000"))
base = f"http://localhost:{port}"

app = FastAPI()
# The session is a signed cookie. Add https_only=True behind https.
app.add_middleware(SessionMiddleware, secret_key=os.environ.get("SESSION_SECRET", secrets.token_hex(32)))

oauth = OAuth()
oauth.register(
    "pico",
    server_metadata_url=f"{issuer}/.well-known/openid-configuration",
    client_id=os.environ["CLIENT_ID"],
    client_secret=os.environ["CLIENT_SECRET"],
    client_kwargs={"scope": "openid profile email", "code_challenge_method": "S256"},
)


@app.get("/", response_class=HTMLResponse)
async def home(request: Request):
    user = request.session.get("user")
    if user is None:
        return '<!doctype html><title>python-web</title><a href="/login">Sign in</a>'
    name = escape(user.get("name") or user["email"])
    return f"<!doctype html><title>python-web</title><p>Hello {name}</p><p>{escape(user['email'])}</p><a href='/logout'>Sign out</a>"


@app.get("/login")
async def login(request: Request):
    return await oauth.pico.authorize_redirect(request, f"{base}/callback")


@app.get("/callback")
async def callback(request: Request):
    try:
        # Checks state and nonce and the signature of the ID token.
        token = await oauth.pico.authorize_access_token(request)
    except OAuthError as refused:
        return PlainTextResponse(f"{refused.error}: {refused.description}", 403)
    user = await oauth.pico.userinfo(token=token)
    if user["sub"] != token["userinfo"]["sub"]:
        return PlainTextResponse("userinfo is of another user", 502)
    request.session["user"] = {"sub": user["sub"], "email": user["email"], "name": user.get("name")}
    request.session["id_token"] = token["id_token"]
    return RedirectResponse("/")


@app.get("/logout")
async def logout(request: Request):
    id_token = request.session.get("id_token")
    request.session.clear()
    if id_token is None:
        return RedirectResponse("/")
    metadata = await oauth.pico.load_server_metadata()
    query = urlencode({"id_token_hint": id_token, "post_logout_redirect_uri": f"{base}/"})
    return RedirectResponse(f"{metadata['end_session_endpoint']}?{query}")


if __name__ == "__main__":
    uvicorn.run(app, host="localhost", port=port)
