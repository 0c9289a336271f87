"""What step authors do with the Python SDK, against `relay dev metadata`."""

import sys

import requests
from relay_sdk import Dynamic as D
from relay_sdk import Interface, UnresolvableException

relay = Interface()


def status(call):
    """The status of the error that a call ends with."""
    try:
        call()
    except requests.HTTPError as error:
        return error.response.status_code
    return None


def default():
    everything = relay.get()
    assert everything["connection"] == {"user": "robot"}, everything
    assert everything["bytes"] == b"\xff\x00", everything
    assert relay.get(D.text) == "Hello, otter!"
    assert relay.get(D.nested.deep) == [1, "two", 3.5]
    assert relay.get("secret") == "hunter2"
    assert relay.get("number + 1") == 12345678902
    assert status(lambda: relay.get("nothing.here")) == 422

    relay.outputs.set("object", {"list": [1, "two", None], "big": 2**63})
    relay.outputs.set("bytes", b"\xff\xfe")
    relay.outputs.set("with space", "text")
    relay.events.emit({"number": 1, "bytes": b"\xff"}, key="once")
    relay.decorators.set_link("docs", "Where to read on", "https://example.com/a?b=c")
    # No workflow can be started in sample mode.
    assert status(lambda: relay.workflows.run("other", {"a": 1})) == 403


def broken():
    try:
        relay.get()
    except UnresolvableException:
        return
    raise AssertionError("an unresolvable spec was taken for a whole one")


{"default": default, "broken": broken}[sys.argv[1]]()
print(f"{sys.argv[1]}: ok")
