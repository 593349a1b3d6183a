#!/usr/bin/env bash
# Postfix 3.7 (Debian 12), smtpd_delay_reject = yes, its default: it refuses a client's HELO name, sender or address only in the
# answer to RCPT TO, with the same 5xx codes as for an unknown recipient.
# Expected: a 5xx to RCPT TO is about the recipient, as in RFC 5321; so mail programs fail the recipient.
# Seen: HELO and MAIL FROM get 250, and RCPT TO 504 5.5.2, 550 5.1.8 or 554 5.7.1; an unknown recipient gets 550 5.1.1. Only the enhanced
# status code says whether client or recipient is refused.
# In FlexCredits: alerter/email/refusals.py reads the enhanced status code (tests/alerter/test_postfix.py).
# Needs the system's Postfix package, and root to start its own instance; without them it prints that and exits with 0.
set -euo pipefail
if ! command -v postfix > /dev/null || [ "$(id -u)" != 0 ]; then echo "skipped: needs Postfix and root"; exit 0; fi
work=$(mktemp -d /tmp/postfix-finding-XXXXXX); chmod 755 "$work"; mkdir "$work/conf" "$work/queue" "$work/data"; chown postfix "$work/data"
trap 'postfix -c "$work/conf" stop 2> /dev/null || true; rm -rf "$work"' EXIT
cat > "$work/conf/main.cf" <<CF
compatibility_level = 3.6
queue_directory = $work/queue
data_directory = $work/data
daemon_directory = /usr/lib/postfix/sbin
shlib_directory = /usr/lib/postfix
maillog_file = $work/log
maillog_file_prefixes = $work
myhostname = mx.acme.example
mydestination = acme.example
mynetworks =
local_recipient_maps = inline:{ada=x}
alias_maps =
alias_database =
inet_interfaces = 127.0.0.1
smtpd_relay_restrictions = reject_unauth_destination
CF
port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
helo=$(port); sender=$(port); client=$(port); plain=$(port)
cat > "$work/conf/master.cf" <<CF
127.0.0.1:$plain inet n - n - - smtpd
127.0.0.1:$helo inet n - n - - smtpd -o smtpd_helo_restrictions=reject_non_fqdn_helo_hostname
127.0.0.1:$sender inet n - n - - smtpd -o {smtpd_sender_restrictions=check_sender_access inline:{{flex.example = 550 5.1.8 Domain not found}}}
127.0.0.1:$client inet n - n - - smtpd -o smtpd_client_restrictions=reject
cleanup unix n - n - 0 cleanup
rewrite unix - - n - - trivial-rewrite
proxymap unix - - n - - proxymap
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
CF
postfix -c "$work/conf" start 2> /dev/null
postconf mail_version
python3 - "$plain" "$helo" "$sender" "$client" <<'PY'
import smtplib, sys

def ask(port, to):
    server = smtplib.SMTP("127.0.0.1", int(port), local_hostname="vm", timeout=20)
    answers = server.ehlo()[0], server.mail("flex@flex.example")[0], *server.rcpt(to)
    server.quit()
    return answers

plain, helo, sender, client = sys.argv[1:]
cases = {
    "unknown recipient": (ask(plain, "nobody@acme.example"), "550 5.1.1"),
    "our HELO name": (ask(helo, "ada@acme.example"), "504 5.5.2"),
    "our sender": (ask(sender, "ada@acme.example"), "550 5.1.8"),
    "our address": (ask(client, "ada@acme.example"), "554 5.7.1"),
    "relaying": (ask(plain, "eve@other.example"), "554 5.7.1"),
}
for what, ((ehlo, mail, code, text), expected) in cases.items():
    print(f"{what:18} EHLO {ehlo}  MAIL {mail}  RCPT {code} {text.decode()}")
    assert (ehlo, mail) == (250, 250) and f"{code} {text.decode()}".startswith(expected)
print("as described: every refusal comes at RCPT TO")
PY
