"""Addresses of proxies and the passwords that people type into them, such as http://me:secret@proxy:8080.

People paste passwords as they are, with `/`, `#` or `@` in them, which standard parsers take for the end of the host,
and tell in their errors. Here whatever stands before the last `@` is name and password.
"""

from __future__ import annotations

import re
from urllib.parse import quote

_SCHEME = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]*://)?")
_AS_IT_IS = "%!$&'()*+,;=-._~"  # what has no meaning in this part of an address, and what is encoded already


def split_password(address: str) -> tuple[str, str]:
    """The address without the password, and the password; empty if there is none. Any text may be given."""
    scheme, name, password, host = _parts(address)
    return f"{scheme}{'' if name is None else f'{name}@'}{host}", password


def with_password(address: str, password: str) -> str:
    """The address with name and password as connections want them: what has a meaning in addresses is encoded.

    What is encoded already (`%40`) stays so. `address` may hold a password already when `password` is empty.
    """
    scheme, name, own, host = _parts(address)
    if name is None:
        return address
    password = password or own
    return f"{scheme}{_encoded(name)}{f':{_encoded(password)}' if password else ''}@{host}"


def without_name(address: str) -> str:
    """The address as others may see it, with neither name nor password."""
    scheme, _, _, host = _parts(address)
    return scheme + host


def has_name(address: str) -> bool:
    """Whether somebody is named who might have a password."""
    return _parts(address)[1] is not None


def _parts(address: str) -> tuple[str, str | None, str, str]:
    """Scheme with its `://`, name (None: none is given), password, and host with its port."""
    before, mark, host = address.rpartition("@")
    found = _SCHEME.match(before if mark else host)
    start = found.end() if found is not None else 0
    if not mark:
        return host[:start], None, "", host[start:]
    name, _, password = before[start:].partition(":")
    return before[:start], name, password, host


def _encoded(text: str) -> str:
    return quote(text, safe=_AS_IT_IS)
