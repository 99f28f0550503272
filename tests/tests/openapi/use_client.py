"""Uses the client that was generated from /openapi.json against the publisher that served it.

Every body is read into the generated types: a field that is missing, has another type, or is not written down fails.
"""

import json
import sys

import attrs

from client import Client
from client.api.default import (
    get_invalidation,
    get_latency,
    get_openapi,
    list_agents,
    list_caches,
    list_invalidations,
    list_publishers,
    list_regions,
    publish,
    retire_agent,
    retire_publisher,
)
from client.models import InvalidationRequest, Problem, UrlWithQuery


def known(body):
    """The body, after a look for fields that are not written down."""
    if isinstance(body, list):
        return [known(item) for item in body]
    if attrs.has(type(body)):
        fields = attrs.asdict(body, recurse=False)
        more = fields.pop("additional_properties", {})
        free = not fields
        assert free or not more, f"{type(body).__name__} is answered with {more}"
        known(list(fields.values()))
    return body


def answered(answer, status):
    assert int(answer.status_code) == status, answer
    assert answer.parsed is not None, answer
    return known(answer.parsed)


def refused(answer, status):
    problem = answered(answer, status)
    assert isinstance(problem, Problem) and problem.status == status, problem
    return problem


publisher = Client(base_url=sys.argv[1], raise_on_unexpected_status=True, timeout=120)

request = InvalidationRequest(
    urls=["https://www.example.com/a", UrlWithQuery(url="https://www.example.com/b", query="any")],
    tags=["t"],
    reason="the generated client",
)
rehearsed = answered(publish.sync_detailed(client=publisher, body=request, dry_run=True), 200)
assert len(rehearsed.caches) == 1, rehearsed
accepted = answered(publish.sync_detailed(client=publisher, body=request, idempotency_key="k"), 202)
again = answered(publish.sync_detailed(client=publisher, body=request, idempotency_key="k"), 202)
assert accepted.id == again.id, (accepted, again)
tag = InvalidationRequest(site="main", tags=["t"])
final = answered(publish.sync_detailed(client=publisher, body=tag, wait="final", timeout="60s"), 200)
assert final.state == "final", final
progress = answered(get_invalidation.sync_detailed(client=publisher, id=final.id), 200)
assert progress.regions[0].caches[0].outcome in ("purged", "covered"), progress

page = answered(list_invalidations.sync_detailed(client=publisher, limit=1, tag="t"), 200)
assert [item.id for item in page.items] == [final.id] and page.next_cursor, page
page = answered(list_invalidations.sync_detailed(client=publisher, cursor=page.next_cursor, tag="t"), 200)
assert [item.id for item in page.items] == [accepted.id], page

agents = answered(list_agents.sync_detailed(client=publisher), 200).items
assert [agent.state for agent in agents] == ["live"], agents
caches = answered(list_caches.sync_detailed(client=publisher), 200).items
assert sum(cache.outcomes.additional_properties.get("purged", 0) for cache in caches) > 0, caches
regions = answered(list_regions.sync_detailed(client=publisher), 200).items
assert regions[0].applied.since_start.count >= 2, regions
publishers = answered(list_publishers.sync_detailed(client=publisher), 200).items
assert publishers[0].myself, publishers
latency = answered(get_latency.sync_detailed(client=publisher, region="local", window="since_start"), 200)
assert latency.applied.count >= 2 and latency.histogram.startswith("HIST"), latency
assert answered(get_openapi.sync_detailed(client=publisher), 200)["openapi"] == "3.1.0"

refused(publish.sync_detailed(client=publisher, body=InvalidationRequest()), 422)
refused(get_latency.sync_detailed(client=publisher, region="mars"), 400)
refused(retire_agent.sync_detailed(client=publisher, name="nobody"), 404)
refused(retire_publisher.sync_detailed(client=publisher, name="publisher-1", force=True), 409)
print(json.dumps({"final": str(final.id)}))
