"""The mailbox writes each mail of an SMTP client into a file."""

import smtplib
from email import message_from_bytes
from email.message import EmailMessage
from pathlib import Path

import pytest
from flexcredits_cli.machine.ports import free_ports
from flexcredits_cli.stack.services import mailbox_program
from support.infra.stack import running


@pytest.mark.parametrize("recipients", [["a@acme.example"], ["a@acme.example", "b@acme.example"]])
def test_every_message_becomes_one_file(tmp_path: Path, recipients: list[str]) -> None:
    (port,) = free_ports(1)
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "flexcredits@example.com", "undisclosed", "90 % used – grüße"
    message.set_content("Nine tenths are gone.\n.\nA line that begins with a dot must not end the mail.\n")
    with running(mailbox_program(port, tmp_path)), smtplib.SMTP("127.0.0.1", port, timeout=10) as client:
        client.send_message(message, "flexcredits@example.com", recipients)

    (file,) = tmp_path.iterdir()
    assert file.suffix == ".eml"
    received = message_from_bytes(file.read_bytes())
    assert received.get_all("X-Envelope-To") == recipients
    assert received["X-Envelope-From"] == "flexcredits@example.com"
    assert b"begins with a dot" in file.read_bytes()


def test_a_mail_to_the_refused_is_refused_for_good(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    with running(mailbox_program(port, tmp_path)), smtplib.SMTP("127.0.0.1", port, timeout=10) as client:
        with pytest.raises(smtplib.SMTPRecipientsRefused, match="550"):
            client.sendmail("flexcredits@example.com", ["Nobody@Refused.example"], b"Subject: x\r\n\r\nx")
        assert client.sendmail("flexcredits@example.com", ["a@acme.example"], b"Subject: x\r\n\r\nx") == {}
    assert len(list(tmp_path.iterdir())) == 1
