#!/usr/bin/env bash
# aiosmtplib 5.1.3: a certificate that does not verify raises SMTPConnectError with TLS from the first byte, but after STARTTLS
# ssl.SSLCertVerificationError, which is an OSError and a ValueError, but not an SMTPException.
# Expected: the same kind of exception in both modes. sendmail() also raises ValueError, "on an address that can't be safely sent" (its
# docstring): a program that handles ValueError first mistakes a TLS fault for an invalid recipient.
# Seen: two kinds of exception for one fault, and `except ValueError` catches the one after STARTTLS.
# In FlexCredits: only parsing decides whether an address is invalid (alerter/email/smtp.py, tests/alerter/test_mail_server.py).
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check aiosmtplib==5.1.3 aiosmtpd==1.4.6
openssl req -x509 -newkey rsa:2048 -nodes -keyout "$work/key.pem" -out "$work/cert.pem" -days 2 -subj /CN=localhost \
  -addext subjectAltName=DNS:localhost 2> /dev/null
cat > "$work/run.py" <<'PY'
import asyncio, logging, ssl, sys
import aiosmtplib
from aiosmtpd.smtp import SMTP

logging.disable(logging.CRITICAL)

async def fail(mode, folder):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{folder}/cert.pem", f"{folder}/key.pem")
    build = lambda: SMTP(object(), hostname="localhost", tls_context=context if mode == "starttls" else None)
    server = await asyncio.get_running_loop().create_server(build, "localhost", 0, ssl=context if mode == "tls" else None)
    port = server.sockets[0].getsockname()[1]
    client = aiosmtplib.SMTP(hostname="localhost", port=port, use_tls=mode == "tls", start_tls=mode == "starttls", timeout=10)
    try:
        await client.connect()
    except Exception as error:
        return error
    finally:
        client.close()
        server.close()

async def main():
    errors = {mode: await fail(mode, sys.argv[1]) for mode in ("tls", "starttls")}
    for mode, error in errors.items():
        print(f"{mode:9}", type(error).__name__, *(kind.__name__ for kind in (aiosmtplib.SMTPException, OSError, ValueError) if isinstance(error, kind)), sep="  ")
    assert isinstance(errors["tls"], aiosmtplib.SMTPConnectError) and not isinstance(errors["tls"], ValueError)
    assert isinstance(errors["starttls"], ValueError) and not isinstance(errors["starttls"], aiosmtplib.SMTPException)
    print("as described: one fault, two unrelated exceptions")

print("aiosmtplib", aiosmtplib.__version__)
asyncio.run(main())
PY
"$work/venv/bin/python" "$work/run.py" "$work"
