"""Commands of the docs that create pods pass the `restricted` level that our namespaces enforce."""

import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from flexcredits_cli.machine.state_folder import REPOSITORY
from support.clients.manifests import Manifest, environment_of, find, render
from support.clients.pod_security import pods, violations

DOCUMENTS = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]
CODE = re.compile(r"^```.*?^```|`[^`\n]+`", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"\bkubectl (?:\\\n|[^\n`|])*")
CREATING = ("run", "create", "apply", "replace", "debug")
PODS = {"name": "pods", "singularName": "pod", "namespaced": True, "kind": "Pod", "verbs": ["create", "get"]}
DISCOVERY = {
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
    "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": []},
    "/api/v1": {"kind": "APIResourceList", "groupVersion": "v1", "resources": [PODS]},
}
"""What kubectl asks an API server before it builds a pod."""


def commands() -> list[str]:
    """Every kubectl command in code of the docs."""
    code = [match[0] for document in DOCUMENTS for match in CODE.finditer(document.read_text())]
    return [match[0] for each in code for match in COMMAND.finditer(each)]


def creating(command: str) -> list[str]:
    """The command from its verb on, if it may create pods; otherwise an empty list."""
    words = shlex.split(command, comments=True)
    numbers = [number for number, word in enumerate(words) if word in CREATING]
    return words[numbers[0] :] if numbers else []


class Discovery(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        answer = DISCOVERY.get(self.path.partition("?")[0])
        self.send_response(200 if answer else 404)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(answer or {}).encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def api_server() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Discovery)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def built_pod(command: str, api_server: str, home: Path) -> Manifest:
    """The pod that a `kubectl run` sends to the API server."""
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed")
    dry = command.replace("kubectl ", f"kubectl --server {api_server} ", 1).replace(
        " -- ", " --dry-run=client -o json -- ", 1
    )
    done = subprocess.run(
        ["bash", "-c", dry],
        cwd=REPOSITORY,
        env={"HOME": str(home), "PATH": "/usr/local/bin:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    pod: Manifest = json.loads(done.stdout)
    return pod


def test_every_command_creates_only_pods_that_pass(api_server: str, tmp_path: Path) -> None:
    checked = set[str]()
    for command in commands():
        match creating(command):
            case (
                [] | ["create", "namespace" | "secret", *_] | ["apply", "-k"]
            ):  # the last one is prose without a folder
                continue
            case ["run", *_]:
                created = [("Pod", built_pod(command, api_server, tmp_path)["spec"])]
            case ["apply", "-k", folder]:
                created = list(pods(render(folder.removeprefix("deploy/k8s/"))))
            case _:
                raise AssertionError(f"the test does not know what this command creates: {command}")
        assert not {name: problems for name, pod in created if (problems := violations(pod))}, command
        checked.add(creating(command)[0])
    assert checked == {"run", "apply"}


def test_the_tools_pod_reaches_the_database_as_the_migrations_do(api_server: str, tmp_path: Path) -> None:
    [command] = [command for command in commands() if creating(command)[:1] == ["run"]]
    pod = built_pod(command, api_server, tmp_path)
    [container] = pod["spec"]["containers"]
    assert "/flexcredits-tools:" in container["image"]
    assert container["args"][:2] == ["keys", "create"]
    prod = render("overlays/prod")
    [migrations] = [each for each in prod if each["metadata"]["name"].startswith("migrations-")]
    template = migrations["spec"]["template"]["spec"]
    environment, wanted = (environment_of(each, prod) for each in (container, template["containers"][0]))
    assert environment == wanted
    volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
    for volume in template["volumes"]:
        assert volumes[volume["name"]] == volume
    policies = [each["spec"]["podSelector"] for each in prod if each["kind"] == "NetworkPolicy"]
    selecting = [
        policy
        for policy in policies
        for each in policy.get("matchExpressions", [])
        if pod["metadata"]["labels"]["app.kubernetes.io/name"] in each["values"]
    ]
    assert find(prod, "NetworkPolicy", "postgres")["spec"]["podSelector"] in selecting
    assert len(selecting) == 2


@pytest.mark.parametrize(
    ("command", "found"),
    [
        ("kubectl -n a create secret generic b", ["create", "secret", "generic", "b"]),
        ("kubectl apply -k deploy", ["apply", "-k", "deploy"]),
        ("kubectl logs --previous", []),
    ],
)
def test_commands_are_classified(command: str, found: list[str]) -> None:
    assert creating(command) == found
