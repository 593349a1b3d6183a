"""Pages of the unsubscribe link: one button, no scripts, no external resources. Pure."""

from base64 import b64encode
from hashlib import sha256
from html import escape

STYLE = """
:root { color-scheme: light dark }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 34rem; margin: 12vh auto; padding: 0 1rem; overflow-wrap: anywhere }
h1 { font-size: 1.4rem; line-height: 1.3 }
button { font: inherit; padding: .6rem 1.2rem; cursor: pointer }
"""

UNSUBSCRIBE_POLICY = (
    f"default-src 'none'; style-src 'sha256-{b64encode(sha256(STYLE.encode()).digest()).decode()}'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)

TEMPLATE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><meta name="robots" content="noindex">
<title>{title}</title><style>{style}</style></head>
<body><main>
<h1>{title}</h1>
{body}
</main></body>
</html>
"""

WHAT = {"usage": "usage alerts", "budget": "monthly budget alerts"}


def ask_page(organization: str, rule: str, address: str) -> str:
    """The form posts to its own URL, which contains the token."""
    return render(
        f"Unsubscribe from {WHAT[rule]}?",
        f"<p><strong>{escape(address)}</strong> will no longer receive FlexCredits {WHAT[rule]} for "
        f"<strong>{escape(organization)}</strong>.</p>\n"
        '<form method="post"><input type="hidden" name="List-Unsubscribe" value="One-Click">'
        "<button>Unsubscribe</button></form>",
    )


def done_page(organization: str, rule: str, address: str) -> str:
    return render(
        "You're unsubscribed",
        f"<p><strong>{escape(address)}</strong> no longer receives FlexCredits {WHAT[rule]} for "
        f"<strong>{escape(organization)}</strong>. Admins and billing moderators still receive them. An admin can add "
        "the address again.</p>",
    )


def refused_page() -> str:
    return render(
        "This link isn't valid",
        "<p>The link is incomplete or more than a year old. Use the link in a more recent email, or ask an admin of "
        "your organization to remove your address.</p>",
    )


def render(title: str, body: str) -> str:
    return TEMPLATE.format(title=escape(title), style=STYLE, body=body)
