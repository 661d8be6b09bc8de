"""A mail relay for tests, by Debian's python3-aiosmtpd.

Arguments: a port of 127.0.0.1, a folder, a mode that may change (the file `mode` in the folder), and
perhaps a certificate, its key, and whether TLS begins at once. Each mail becomes a line of JSON in the
file `mails`, each session a line in `sessions`.
"""

import asyncio
import json
import pathlib
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult

port, folder = int(sys.argv[1]), pathlib.Path(sys.argv[2])
tls = sys.argv[3:5]
at_once = sys.argv[5:6] == ["implicit"]


def mode():
    """What the relay does now: what, and perhaps to whom."""
    return (folder / "mode").read_text().split()


def write(name, value):
    with open(folder / name, "a") as file:
        file.write(json.dumps(value) + "\n")


class Handler:
    async def handle_EHLO(self, server, session, envelope, hostname, responses):
        session.host_name = hostname
        write("sessions", hostname)
        return responses

    async def handle_HELO(self, server, session, envelope, hostname):
        session.host_name = hostname
        write("sessions", hostname)
        return "250 relay"

    async def handle_RCPT(self, server, session, envelope, address, options):
        what, *who = mode()
        if what == "451" and (not who or address in who):
            return "451 4.7.1 greylisted, come back"
        if what == "550" and (not who or address in who):
            return "550 5.1.1 no such user"
        envelope.rcpt_tos.append(address)
        return "250 ok"

    async def handle_DATA(self, server, session, envelope):
        what, *_ = mode()
        write("data", what)
        if what == "die":
            server.transport.abort()
        elif what == "452":
            return "452 4.3.1 disk full"
        elif what == "slow":
            await asyncio.sleep(600)
        else:
            write(
                "mails",
                {
                    "from": envelope.mail_from,
                    "to": envelope.rcpt_tos,
                    "text": envelope.original_content.decode("utf-8", "replace"),
                    "user": (session.auth_data or b"").decode() if session.authenticated else None,
                    "tls": session.ssl is not None or at_once,
                },
            )
        return "250 ok"


def authenticate(server, session, envelope, mechanism, data):
    good = (data.login, data.password) == (b"director", b"s3cret word")
    return AuthResult(success=good, auth_data=data.login)


def smtp(context):
    login = {"authenticator": authenticate, "auth_required": True} if tls else {}
    return SMTP(
        Handler(),
        hostname="relay",
        enable_SMTPUTF8=True,
        # Inside TLS the server does not see it.
        auth_require_tls=not at_once,
        tls_context=None if at_once else context,
        require_starttls=bool(context) and not at_once,
        **login,
    )


async def main():
    context = None
    if tls:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*tls)
    loop = asyncio.get_running_loop()
    wrap = context if at_once else None
    server = await loop.create_server(lambda: smtp(context), "127.0.0.1", port, ssl=wrap)
    print("ready", flush=True)
    await server.serve_forever()


asyncio.run(main())
