"""Evolution Data Server's subscriptions: each line that comes in refreshes all → one JSON line of what they hold.

Runs on the system's Python, which has the bindings, within a message bus of its own.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import gi

gi.require_version("ECal", "2.0")
gi.require_version("EDataServer", "1.2")
gi.require_version("ICalGLib", "3.0")
from gi.repository import ECal, EDataServer, GLib, ICalGLib  # noqa: E402

AT_ONCE = 2**32 - 1  # the back end is up once it is asked for events; to wait for it here would take a main loop


def in_utc(client: Any, time: Any) -> str | None:
    if time is None:
        return None
    value, zone_name = time.get_value(), time.get_tzid()
    if not value.is_utc() and not zone_name:
        return text_of(value, "")
    if zone_name and zone_name != "UTC":
        found = client.get_timezone_sync(zone_name, None)
        value.set_timezone(found[1] if isinstance(found, tuple) else found)
    return text_of(value.convert_to_zone(ICalGLib.Timezone.get_utc_timezone()), "Z")


def text_of(time: Any, mark: str) -> str:
    day, clock = time.get_date(), time.get_time()
    return "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}".format(*day, *clock) + mark


def shown(client: Any, component: Any) -> dict[str, Any]:
    event = component.get_icalcomponent()
    url = event.get_first_property(ICalGLib.PropertyKind.URL_PROPERTY)
    status = event.get_first_property(ICalGLib.PropertyKind.STATUS_PROPERTY)
    return {
        "uid": component.get_uid(),
        "start": in_utc(client, component.get_dtstart()),
        "end": in_utc(client, component.get_dtend()),
        "summary": event.get_summary(),
        "description": event.get_description(),
        "location": event.get_location(),
        "url": url and url.get_url(),
        "status": status and status.get_value_as_string(),
        "sequence": event.get_sequence(),
    }


def reading(client: Any) -> dict[str, Any]:
    try:
        client.refresh_sync(None)
        _, components = client.get_object_list_as_comps_sync("#t", None)
    except GLib.Error as error:
        return {"error": error.message}
    return {"events": [shown(client, component) for component in components]}


if __name__ == "__main__":
    registry = EDataServer.SourceRegistry.new_sync(None)
    kind = ECal.ClientSourceType.EVENTS
    clients = {name: ECal.Client.connect_sync(registry.ref_source(name), kind, AT_ONCE, None) for name in sys.argv[1:]}
    for _ in sys.stdin:
        print(json.dumps({name: reading(client) for name, client in clients.items()}), flush=True)
