"""The development issuer's sign-in page: the user chooses a person."""

from collections.abc import Mapping
from html import escape

from flexcredits_cli.dev_idp.authorization import Person
from flexcredits_cli.dev_idp.tokens import Role

DEMO = "org_demo"
PEOPLE = (
    Person(DEMO, Role.SUPER_ADMIN, "ada@demo.example", "Ada"),
    Person(DEMO, Role.ADMIN, "ben@demo.example", "Ben"),
    Person(DEMO, Role.BILLING_MODERATOR, "chi@demo.example", "Chi"),
    Person(DEMO, Role.MEMBER, "dev@demo.example", "Dev"),
)

# The page has no scripts and loads nothing from other hosts. Its forms lead to this server, which redirects to the dashboard.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'"

PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Sign in (development)</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 30rem; margin: 3rem auto; padding: 0 1rem }}
button, input, select {{ font: inherit; padding: .4rem .6rem; width: 100%; box-sizing: border-box; margin: .2rem 0 }}
button {{ text-align: left; cursor: pointer }}
</style>
<h1>Sign in</h1>
<p>This is the development sign-in: no password, and only on this machine.</p>
{people}
<h2>Someone else</h2>
<form method="post">{hidden}
<label>Organization <input name="organization" required value="{demo}" pattern="[A-Za-z0-9][A-Za-z0-9._:\\-]{{0,63}}"></label>
<label>Role <select name="role">{roles}</select></label>
<label>Email <input name="email" type="email" required></label>
<button>Sign in</button></form>
</html>
"""


def render_page(parameters: Mapping[str, str]) -> str:
    """The page for an authorization request. Each form contains the request's parameters."""
    hidden = "".join(
        f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">' for name, value in parameters.items()
    )
    people = "\n".join(
        f'<form method="post">{hidden}{choice(person)}'
        f"<button>{escape(person.name)}, {person.role.replace('_', ' ')} of {person.organization}</button></form>"
        for person in PEOPLE
    )
    roles = "".join(f"<option>{role}</option>" for role in Role)
    return PAGE.format(people=people, hidden=hidden, demo=DEMO, roles=roles)


def choice(person: Person) -> str:
    return "".join(
        f'<input type="hidden" name="{name}" value="{escape(value)}">' for name, value in person._asdict().items()
    )
