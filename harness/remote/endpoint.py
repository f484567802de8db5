"""Where a server is, and the key it wants: read from the environment, and told to nobody.

    find("http://127.0.0.1:8000/v1", "OPENAI_API_KEY").host     "127.0.0.1:8000"
    called(find_all([... :8001/v1, ... :8000/v1], ...))         "127.0.0.1:8000,127.0.0.1:8001"

A server in one's own network may ask for no key. Whatever a server says goes through `scrub`
before anything reads it, since servers like to quote the key that they refuse.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import urlsplit

from harness.errors import JudgeUnavailable

OPENAI = "https://api.openai.com/v1"
_NO_KEY = "none"
"""What is sent where no key is needed: the package insists on sending one."""
_KEY = re.compile(r"[!-~]+")
"""What a header can carry as a key: visible ASCII."""
_ANY_KEY = re.compile(r"\bsk-[\w*.-]{6,}")
_OWN_NETWORK = ("localhost", ".localhost", ".local", ".internal", ".lan")


@dataclass(frozen=True)
class Endpoint:
    """A server and how to get in."""

    base_url: str
    host: str
    """With the port, where it is not the usual one, and with what comes before `/v1`: a gateway
    has other models in other places."""
    variable: str
    """Which environment variable the key is from."""
    key: str = field(repr=False)

    @property
    def has_key(self) -> bool:
        """Whether there is a key to be refused."""
        return self.key != _NO_KEY

    @property
    def refused(self) -> str:
        """What to tell somebody whose key, or lack of one, the server does not take."""
        if not self.has_key:
            return (
                f"{self.host} wants a key, and the environment variable {self.variable} is not "
                f"set; set it (export {self.variable}=...), or name another one with `key`"
            )
        return f"{self.host} refused the key; check the environment variable {self.variable}"

    def scrub(self, text: str) -> str:
        """Take the key out of a text, and whatever else looks like one of OpenAI's."""
        if self.has_key:
            text = text.replace(self.key, "<key>")
        return _ANY_KEY.sub("<key>", text) if "sk-" in text else text


def find_all(base_urls: Sequence[str | None], variable: str) -> tuple[Endpoint, ...]:
    """Find every server of a pool; see `find`."""
    return tuple(find(base_url, variable) for base_url in base_urls)


def called(servers: Sequence[Endpoint]) -> str:
    """Name one server, or a pool, whose name does not change with the order of its servers."""
    return ",".join(sorted(server.host for server in servers))


def find(base_url: str | None, variable: str) -> Endpoint:
    """Find the server that is meant, and its key in the environment.

    Raises:
        JudgeUnavailable: there is no key, and the server is not in one's own network; or what
            the variable holds is no key.
    """
    chosen = base_url or os.environ.get("OPENAI_BASE_URL") or OPENAI
    url = urlsplit(chosen)
    if "@" in url.netloc:
        raise JudgeUnavailable(
            f"OPENAI_BASE_URL holds credentials; put the key into {variable} instead"
        )
    name = url.hostname or ""
    key = os.environ.get(variable, "").strip()
    if not key and not _in_own_network(name):
        raise JudgeUnavailable(
            f"no key for {name}: the environment variable {variable} is not set; set it "
            f"(export {variable}=...) and give the same command, or name another one with `key`"
        )
    if key and not _KEY.fullmatch(key):
        raise JudgeUnavailable(
            f"the value of the environment variable {variable} cannot be a key: it has a space, a "
            "line break or a character that is not ASCII in it; set it anew "
            f"(export {variable}=...)"
        )
    place = url.path.rstrip("/").removesuffix("/v1")
    return Endpoint(
        base_url=chosen,
        host=f"{url.netloc.lower()}{place}",
        variable=variable,
        key=key or _NO_KEY,
    )


def _in_own_network(host: str) -> bool:
    try:
        address = ip_address(host)
    except ValueError:
        return "." not in host or host.endswith(_OWN_NETWORK)
    return address.is_private or address.is_loopback or address.is_link_local
