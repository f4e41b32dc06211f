"""An SMTP server for tests: Debian's aiosmtpd, with recipients that misbehave.

usage: smtpd.py FOLDER [CERT KEY]. Prints its port, then runs until it is ended.
What it took goes into FOLDER, a file each: the envelope in X- headers, then the
message. By the beginning of a recipient's address:
  later@   is put off once a run of the server (451)      never@  is refused (550)
  cut@     loses the connection once, in the data         slow@   makes the answer to the data wait for a file FOLDER/go
  spam@    is taken, and the message then refused (554)
"""
import asyncio
import os
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult

folder = sys.argv[1]
seen = set()


def first(what):
    if what in seen:
        return False
    seen.add(what)
    return True


class Handler:
    number = 0

    async def handle_MAIL(self, server, session, envelope, address, options):
        if address.startswith("blocked@"):
            return "550 5.7.1 not from you"
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("never@"):
            return "550 5.1.1 no such user"
        if address.startswith("later@") and first(address):
            return "451 4.2.1 come back later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        to = envelope.rcpt_tos
        if any(a.startswith("cut@") for a in to) and first("cut"):
            server.transport.abort()
            return "250 never heard"
        if any(a.startswith("spam@") for a in to):
            return "554 5.7.1 this is spam"
        Handler.number += 1
        name = os.path.join(folder, f"{Handler.number:03}.eml")
        with open(name + ".new", "wb") as out:
            out.write(f"X-Mail-From: {envelope.mail_from}\r\nX-Rcpt-To: {','.join(to)}\r\n".encode())
            out.write(f"X-Tls: {session.ssl is not None}\r\nX-User: {session.auth_data}\r\n".encode())
            out.write(envelope.content)
        os.rename(name + ".new", name)
        if any(a.startswith("slow@") for a in to):
            while not os.path.exists(os.path.join(folder, "go")):
                await asyncio.sleep(0.02)
        return "250 2.0.0 taken"


def authenticate(server, session, envelope, mechanism, data):
    user = data.login.decode()
    if data.password != b"secret":
        return AuthResult(success=False, handled=False)
    return AuthResult(success=True, auth_data=user)


async def main():
    options = {}
    if len(sys.argv) > 2:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(sys.argv[2], sys.argv[3])
        options = {"tls_context": context, "require_starttls": True, "auth_required": True, "authenticator": authenticate}
    server = await asyncio.get_running_loop().create_server(lambda: SMTP(Handler(), hostname="test", **options), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())
