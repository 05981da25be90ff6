"""The console: pages for people on the REST API's own routes, rights and words.

A page never reaches behind the API: it calls it in this process, with the token that its reader signed in with. So
nothing is shown or done in it that the same caller could not have by `curl`.

browser ── site ── sessions, sign-in ── pages ── api_client ── the REST API
"""

ROOT = "/console"
