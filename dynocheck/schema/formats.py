"""The forms of text that the Kubernetes API server insists on: names, labels, quantities, times, base64."""

import ipaddress
import re
import zoneinfo
from collections.abc import Callable
from datetime import date

from dynocheck.facts import QUANTITY_PATTERN as QUANTITY

_ALNUM = "[A-Za-z0-9]"
_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_DNS_LABEL = re.compile(_LABEL)
_SUBDOMAIN = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_WORD = re.compile(f"{_ALNUM}([-A-Za-z0-9_.]*{_ALNUM})?")
_PORT_NAME = re.compile("(?=.*[a-z])[a-z0-9]+(-[a-z0-9]+)*")
_RESOURCES = ("cpu", "memory", "ephemeral-storage")
_CONFIG_KEY = re.compile(r"[-._a-zA-Z0-9]+")
_CRON_PART = re.compile(
    r"(?:[*?](?:-[^/]*)?|(?P<start>\d{1,9}|[a-z]+)(?:-(?P<end>\d{1,9}|[a-z]+))?)(?:/(?P<step>\d{1,9}))?",
    re.ASCII,
)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_CRON_BOUNDS = ((0, 59, ()), (0, 23, ()), (1, 31, ()), (1, 12, _MONTHS), (0, 6, _DAYS))
_CRON_MACROS = ("@annually", "@daily", "@hourly", "@midnight", "@monthly", "@weekly", "@yearly")
_HEADER = re.compile("[-A-Za-z0-9]+")
_SYSCTL_PART = "[a-z0-9]([-_a-z0-9]*[a-z0-9])?"
_SYSCTL = re.compile(rf"({_SYSCTL_PART}[./])*{_SYSCTL_PART}")
_QUOTAS = {
    *("pods", "services", "replicationcontrollers", "resourcequotas", "secrets", "configmaps"),
    *("persistentvolumeclaims", "services.nodeports", "services.loadbalancers", "storage", *_RESOURCES),
    *(f"requests.{name}" for name in ("storage", *_RESOURCES)),
    *(f"limits.{name}" for name in _RESOURCES),
}
_TIME = re.compile(
    r"(?P<date>\d{4}-\d\d-\d\d)T([01]?\d|2[0-3]):[0-5]\d:[0-5]\d(?P<fraction>[.,]\d+)?"
    r"(Z|[-+]([01]\d|2[0-4]):[0-5]\d)",
    re.ASCII,
)
_BASE64 = re.compile("(?:[A-Za-z0-9+/]{4})*+([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")


def find_format_error(form: str, text: str) -> str | None:
    """What a text of this form must be and is not, or None when it is, or nobody enforces the form.

    An empty name is none, and right as far as its form goes.
    """
    rule = _RULES.get(form)
    if rule is None:
        return None
    holds, must = rule
    return None if holds(text) else must


def _is_dns_label(text: str) -> bool:
    return not text or (len(text) <= 63 and _DNS_LABEL.fullmatch(text) is not None)


def _is_subdomain(text: str) -> bool:
    return not text or (len(text) <= 253 and _SUBDOMAIN.fullmatch(text) is not None)


def _is_path_segment(text: str) -> bool:
    return text not in (".", "..") and not set("/%") & set(text)


def _is_word(text: str) -> bool:
    return len(text) <= 63 and _WORD.fullmatch(text) is not None


def _is_label_key(text: str) -> bool:
    prefix, slash, name = text.rpartition("/")
    return _is_word(name) and bool(prefix or not slash) and _is_subdomain(prefix)


def _is_annotation_key(text: str) -> bool:
    return _is_label_key(text.lower())


def _is_config_key(text: str) -> bool:
    return len(text) <= 253 and not re.match(r"\.$|\.\.", text) and _CONFIG_KEY.fullmatch(text) is not None


def _is_port_name(text: str) -> bool:
    return not text or (len(text) <= 15 and _PORT_NAME.fullmatch(text) is not None)


def _is_resource_name(text: str) -> bool:
    return text in _RESOURCES or text.startswith("hugepages-") or ("/" in text and _is_label_key(text))


def _is_quota(text: str) -> bool:
    huge = text.removeprefix("requests.").startswith("hugepages-")
    return text in _QUOTAS or huge or ("/" in text and _is_label_key(text))


def _is_limited(text: str) -> bool:
    return text == "storage" or _is_resource_name(text)


def _is_host(text: str) -> bool:
    return not _is_address(text) and _is_subdomain(text.removeprefix("*."))


def _is_cidr(text: str) -> bool:
    address, slash, bits = text.partition("/")
    try:
        return (
            bool(slash) and bits.isdecimal() and bool(ipaddress.ip_network(f"{address}/{bits}", strict=False))
        )
    except ValueError:
        return False


def _is_schedule(text: str) -> bool:
    fields = text.split()
    if text.startswith("@"):
        return text in _CRON_MACROS or text.startswith("@every ")
    return len(fields) == 5 and all(map(_is_cron_field, fields, _CRON_BOUNDS))


def _is_cron_field(text: str, bounds: tuple[int, int, tuple[str, ...]]) -> bool:
    """Whether each part of a field is *, a number, a name or a range, and maybe a step."""
    low, high, names = bounds
    for part in filter(None, text.split(",")):
        found = _CRON_PART.fullmatch(part.lower())
        if found is None or (found["step"] is not None and not int(found["step"])):
            return False
        if found["start"] is None:
            continue
        ends = [found["start"], found["end"] or found["start"]]
        if any(end.isalpha() and end not in names for end in ends):
            return False
        first, last = (names.index(end) + low if end.isalpha() else int(end) for end in ends)
        if not low <= first <= last <= high:
            return False
    return True


def _is_domain_path(text: str) -> bool:
    domain, slash, name = text.partition("/")
    return bool(domain and slash and name) and _is_subdomain(domain)


def _is_downward(text: str) -> bool:
    kind, _, name = text.partition(".")
    known = name in _RESOURCES or name.startswith("hugepages-")
    return not text or (kind in ("limits", "requests") and known)


def _is_plain_path(text: str) -> bool:
    parts = text.lower().split("/")
    return "%2f" not in text.lower() and not {".", ".."} & {*parts} and "" not in parts[1:-1]


def _is_time_zone(text: str) -> bool:
    known = zoneinfo.available_timezones()
    return not known or text in known


def _is_inside(text: str) -> bool:
    return not text.startswith("/") and _goes_not_up(text)


def _goes_not_up(text: str) -> bool:
    return ".." not in text.split("/")


def _is_address(text: str) -> bool:
    return any(holds(text) for holds in map(_make_address_test, (4, 6)))


def _is_base64(text: str) -> bool:
    return _BASE64.fullmatch(text.replace("\n", "").replace("\r", "")) is not None


def _is_time(text: str) -> bool:
    found = _TIME.fullmatch(text)
    try:
        return found is not None and bool(date.fromisoformat(found["date"].replace("0000-", "2000-")))
    except ValueError:
        return False


def _is_micro_time(text: str) -> bool:
    found = _TIME.fullmatch(text)
    return _is_time(text) and found is not None and len(found["fraction"] or "") == 7


def _make_address_test(version: int) -> Callable[[str], bool]:
    def holds(text: str) -> bool:
        try:
            return ipaddress.ip_address(text).version == version
        except ValueError:
            return False

    return holds


_TIME_MUST = "a time such as 2026-01-31T12:00:00Z"
_RULES: dict[str, tuple[Callable[[str], bool], str]] = {
    "annotation-key": (_is_annotation_key, "a key such as example.com/name"),
    "byte": (_is_base64, "base64"),
    "config-key": (_is_config_key, "at most 253 letters, digits, '-', '_' or '.'"),
    "date-time": (_is_time, _TIME_MUST),
    "dns-label": (
        _is_dns_label,
        "at most 63 lower case letters, digits or '-', with a letter or digit at both ends",
    ),
    "dns-subdomain": (
        _is_subdomain,
        "at most 253 lower case letters, digits, '-' or '.', with a letter or digit at the ends of each part",
    ),
    "cidr": (_is_cidr, "a block of addresses such as 10.0.0.0/8"),
    "cron": (_is_schedule, "a schedule of five fields, such as 0 3 * * *"),
    "domain-path": (_is_domain_path, "a path with a domain before it, such as example.com/name"),
    "downward-resource": (
        _is_downward,
        "limits or requests of cpu, memory, ephemeral-storage or huge pages, such as limits.memory",
    ),
    "header-name": (
        lambda text: _HEADER.fullmatch(text) is not None,
        "the name of a header, such as X-Forwarded-For",
    ),
    "host-name": (_is_host, "the name of a host such as llm.example.com or *.example.com"),
    "limited-resource": (_is_limited, "cpu, memory, storage or a resource with a domain"),
    "percent": (
        lambda text: re.fullmatch(r"\d{1,20}%", text, re.ASCII) is not None,
        "a number, or a percentage such as 25%",
    ),
    "percent-of-all": (
        lambda text: re.fullmatch(r"0*(100|\d{1,2})%", text, re.ASCII) is not None,
        "a number, or a percentage of at most 100%",
    ),
    "plain-path": (_is_plain_path, "a path without //, /./ and /../"),
    "sysctl": (
        lambda text: len(text) <= 253 and _SYSCTL.fullmatch(text) is not None,
        "the name of a setting, such as net.core.somaxconn",
    ),
    "quota-resource": (
        _is_quota,
        "a resource that a quota can limit, such as pods or requests.nvidia.com/gpu",
    ),
    "time-zone": (_is_time_zone, "a time zone such as Europe/Berlin"),
    "cluster-ip": (lambda text: text in ("", "None") or _is_address(text), "an IP address or None"),
    "ip": (_is_address, "an IP address"),
    "ipv4": (_make_address_test(4), "an IPv4 address"),
    "ipv6": (_make_address_test(6), "an IPv6 address"),
    "label-key": (_is_label_key, "a key such as example.com/name, its name at most 63 characters"),
    "label-key-or-empty": (
        lambda text: not text or _is_label_key(text),
        "a key such as example.com/name, its name at most 63 characters",
    ),
    "label-value": (
        lambda text: not text or _is_word(text),
        "at most 63 letters, digits, '-', '_' or '.', with a letter or digit at both ends",
    ),
    "micro-time": (_is_micro_time, "a time such as 2026-01-31T12:00:00.000000Z"),
    "path-inside": (_is_inside, "a relative path without '..'"),
    "path-without-up": (_goes_not_up, "a path without '..'"),
    "path-segment": (_is_path_segment, "a name without '/' or '%'"),
    "port-name": (
        _is_port_name,
        "a number, or at most 15 lower case letters, digits and '-' with a letter among them",
    ),
    "resource-name": (
        _is_resource_name,
        "cpu, memory, ephemeral-storage or a resource with a domain such as nvidia.com/gpu",
    ),
    "trimmed": (lambda text: text == text.strip(), "a text without spaces around it"),
    "variable-name": (
        lambda text: text.isascii() and text.isprintable() and "=" not in text,
        "printable ASCII without '='",
    ),
    "quantity": (
        lambda text: QUANTITY.fullmatch(text) is not None,
        "a quantity such as 500m, 8 or 16Gi",
    ),
}
