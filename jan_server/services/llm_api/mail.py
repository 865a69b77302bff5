"""Mail to people, through the mail server of the settings. Source: RFC 5321, RFC 5322, RFC 3834."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, make_msgid
from typing import Literal

import aiosmtplib

from jan_server.services.llm_api.tables import now
from jan_server.settings.tree import Settings

logger = logging.getLogger("jan.llm-api.mail")

SEND_SECONDS = 10.0
SENDER_NAME = "Jan"


@dataclass(frozen=True, slots=True)
class Mailer:
    """A mail server, and who speaks to it.

    Attributes:
        sender: The address in From.
        user: Name to log in with; empty for no log-in.
    """

    host: str
    port: int
    security: Literal["starttls", "tls", "none"]
    sender: str
    user: str = ""
    password: str = ""

    async def send(self, to: str, subject: str, text: str) -> bool:
        """Hand a message over; False, with the cause in the log, when the server does not take it.

        Args:
            to: The address of the one who gets it.
            subject: Its subject, one line.
            text: What it says, as plain text.
        """
        try:
            message = EmailMessage(policy=SMTP)
            message["From"] = Address(SENDER_NAME, addr_spec=self.sender)
            message["To"] = Address(addr_spec=to)
            message["Subject"] = subject
            message["Date"] = format_datetime(now())
            message["Message-ID"] = make_msgid(domain=self.sender.rpartition("@")[2])
            message["Auto-Submitted"] = "auto-generated"
            message.set_content(text)
            await aiosmtplib.send(
                message,
                hostname=self.host,
                port=self.port,
                username=self.user or None,
                password=self.password or None,
                use_tls=self.security == "tls",
                start_tls=self.security == "starttls",
                timeout=SEND_SECONDS,
            )
        except (aiosmtplib.SMTPException, OSError, ValueError) as failure:
            logger.warning("a mail was not sent: %s", failure)
            return False
        return True


def mailer_of(settings: Settings) -> Mailer | None:
    """The mail server of the settings, or None where there is none.

    Raises:
        ValueError: Nothing says which address mail comes from.
    """
    smtp = settings.identity.smtp
    if not smtp.host:
        return None
    sender = smtp.sender or smtp.user
    if "@" not in sender:
        raise ValueError("JAN_SMTP_FROM (identity.smtp.sender): give the address that mail comes from")
    return Mailer(
        host=smtp.host,
        port=smtp.port,
        security=smtp.security,
        sender=sender,
        user=smtp.user,
        password=smtp.password.get_secret_value(),
    )
