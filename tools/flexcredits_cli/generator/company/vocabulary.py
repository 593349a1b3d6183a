"""Names for generated companies: models, tools, features, APIs, surfaces and categories."""

from collections.abc import Mapping
from datetime import date

BEGINNING = date(2024, 1, 1)
"""Start of the deployment: the time of catalog events that are always in effect."""

SURFACES = ("web", "slack", "chrome", "teams", "mobile")
API_SURFACES = ("rest", "sdk")

# Median of one use: in millionths of a credit, or in whole units for features in UNITS.
MODELS = {"claude-opus-5": 900, "claude-haiku-5": 1500, "gpt-6": 1300, "gemini-4-pro": 1100}
TOOLS = {
    "jira_search": 700_000,
    "slack_post": 350_000,
    "google_drive_read": 600_000,
    "web_browser": 1_100_000,
    "salesforce_query": 900_000,
    "github_search": 500_000,
}
FEATURES = {
    "code_writer": 1_600_000,
    "image_generation": 1,
    "meeting_notes": 20,
    "document_summary": 800_000,
    "data_analysis": 2_100_000,
}
NAMESPACES = {"Search": 40, "Chat": 1_300_000, "Agents": 1_900_000, "Indexing": 450_000}
UNITS = {"image_generation": "images", "meeting_notes": "minutes", "Search": "requests"}

# Each season launches the next one. It has no category until the following launch.
LAUNCHES = (
    "canvas", "voice_mode", "slide_maker", "deep_translate", "video_recap", "form_filler", "code_review", "map_builder",
    "podcast", "tone_check", "chart_maker", "mail_digest",
)  # fmt: skip
LAUNCH_MEDIAN = 1_200_000
SEASONS_USED = 5
"""Number of seasons in which a launched feature is used; afterwards it is unused until its name is launched again."""

CATEGORIES = {
    ("tool", "jira_search"): "Ticketing",
    ("tool", "slack_post"): "Messaging",
    ("tool", "google_drive_read"): "Files",
    ("tool", "salesforce_query"): "Customer data",
    ("tool", "github_search"): "Engineering",
    ("feature", "code_writer"): "Engineering",
    ("feature", "document_summary"): "Writing",
    ("feature", "data_analysis"): "Analysis",
}
# Category in even and in odd seasons, and the day of the season on which it changes.
CHANGING_CATEGORIES = {
    ("tool", "web_browser"): (("Browsing", "Research"), 0),
    ("feature", "image_generation"): (("Media", "Creative"), 45),
    ("feature", "meeting_notes"): (("Meetings", "Writing"), 20),
}

AGENT_NAMES = (
    "Ticket triage", "Quarterly report", "Onboarding buddy", "Contract review", "Lead scoring", "Incident summary",
    "Travel desk", "Policy answers", "Release notes", "Expense check", "Candidate screen", "Renewal watch",
)  # fmt: skip
# Each season uses the next name of each kind of life cycle.
SEASONAL_NAMES = {
    "deleted": ("Launch planner", "Audit helper", "Budget builder", "Survey reader"),
    "restored": ("Board digest", "Market watch", "Tender scout", "Partner news"),
    "renamed": ("Sales brief", "Call notes", "Churn radar", "Price check"),
    "saved_later": ("Clause finder", "Quote writer", "Bug sorter", "Shift planner"),
}
SYSTEM_WORKFLOWS = {"sys_deep_research": "Deep Research", "sys_chat": "Chat"}

LABEL_KEYS = ("cost_center", "project")
PROJECTS = (
    "atlas", "borealis", "cobalt", "delta", "ember", "fjord", "granite", "harbor", "iris", "juniper", "kestrel", "lagoon",
)  # fmt: skip

# Departments with their cost centers, and their teams; a team of a team is in the third level.
DEPARTMENTS: Mapping[str, tuple[str, Mapping[str, tuple[str, ...]]]] = {
    "Engineering": ("4100", {
        "Platform": ("Storage", "Compute", "Delivery"), "Data": ("Analytics", "Machine learning"), "Web": (), "Mobile": (),
        "Security": (), "Quality": (),
    }),
    "Product": ("4200", {"Research": (), "Design": (), "Documentation": ()}),
    "Sales": ("5100", {
        "Sales Americas": ("Enterprise accounts",), "Sales Europe": (), "Sales Asia Pacific": (), "Sales engineering": (),
    }),
    "Marketing": ("5200", {"Brand": (), "Demand generation": (), "Events": ()}),
    "Customer success": ("5300", {"Support": ("First line", "Second line"), "Onboarding": (), "Renewals": ()}),
    "Finance": ("6100", {"Accounting": (), "Procurement": ()}),
    "People operations": ("6200", {"Recruiting": ()}),
    "Operations": ("6300", {"Facilities": (), "Internal systems": ()}),
}  # fmt: skip

FIRST_NAMES = (
    "Amara", "Anton", "Beatriz", "Bjarne", "Camille", "Chidi", "Daniela", "Darius", "Elif", "Emeka", "Farah", "Felix",
    "Greta", "Haruto", "Ines", "Ivan", "Jana", "Jonas", "Kavya", "Kofi", "Leila", "Lukas", "Maren", "Mateo",
    "Nadia", "Nils", "Olga", "Omar", "Paula", "Pedro", "Rania", "Rohan", "Sofia", "Stefan", "Thandi", "Tomas",
    "Ursula", "Viktor", "Yara", "Zoltan",
)  # fmt: skip
LAST_NAMES = (
    "Abe", "Almeida", "Bauer", "Bello", "Castro", "Chen", "Demir", "Dvorak", "Eriksen", "Esposito", "Fischer", "Fofana",
    "Garcia", "Haddad", "Hansen", "Ito", "Ivanova", "Jansen", "Kaya", "Keller", "Kim", "Lang", "Lopez", "Mensah",
    "Moreau", "Nagy", "Nguyen", "Okafor", "Olsen", "Patel", "Petrov", "Rossi", "Sato", "Schmidt", "Silva", "Tanaka",
    "Torres", "Virtanen", "Weber", "Zhang",
)  # fmt: skip
SERVICE_ACCOUNTS = {
    "svc_portal": "Customer portal", "svc_indexer": "Search indexer", "svc_helpdesk": "Helpdesk bridge",
    "svc_reports": "Nightly reports", "svc_crm_sync": "CRM sync", "svc_ci": "Build pipeline",
}  # fmt: skip
