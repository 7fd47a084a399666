"""Subscriptions, the billing property, and what shows how old a subscription is."""

from __future__ import annotations

from auditor.decode.wire import Wire, reader, tags_of
from auditor.model import resources as r
from auditor.model.ids import SUBSCRIPTION, name_of, subscription_of


class SubscriptionPolicies(Wire):
    quota_id: str | None = None


class ManagingTenant(Wire):
    tenant_id: str = ""


class SubscriptionWire(Wire):
    id: str
    display_name: str | None = None
    state: str | None = None
    tenant_id: str | None = None
    managed_by_tenants: list[ManagingTenant] | None = None
    subscription_policies: SubscriptionPolicies | None = None
    tags: dict[str, str | None] | None = None


class BillingProperties(Wire):
    billing_account_agreement_type: str | None = None
    billing_account_type: str | None = None
    billing_account_sub_type: str | None = None
    subscription_workload_type: str | None = None
    is_transitioned_billing_account: bool | None = None


class BillingWire(Wire):
    id: str
    properties: BillingProperties


class SystemData(Wire):
    created_at: str | None = None


class DatedProperties(Wire):
    time_created: str | None = None


class DatedWire(Wire):
    id: str
    created_time: str | None = None
    system_data: SystemData | None = None
    properties: DatedProperties | None = None


def subscription(w: SubscriptionWire, t: r.Tenant) -> None:
    guid = subscription_of(w.id)
    quota = (w.subscription_policies.quota_id or "") if w.subscription_policies else ""
    t.subscriptions.setdefault(
        guid,
        r.Subscription(
            id=name_of(w.id),
            name=w.display_name or "",
            quota_id=quota,
            state=(w.state or "").lower(),
            tenant_id=w.tenant_id or "",
            managed_by=tuple(m.tenant_id for m in w.managed_by_tenants or () if m.tenant_id),
            tags=tags_of(w.tags),
        ),
    )


def billing(w: BillingWire, t: r.Tenant) -> None:
    p = w.properties
    t.billing.setdefault(
        subscription_of(w.id),
        r.Billing(
            p.billing_account_agreement_type or "",
            p.billing_account_type or "",
            p.billing_account_sub_type or "",
            p.subscription_workload_type or "",
            bool(p.is_transitioned_billing_account),
        ),
    )


def dated(w: DatedWire, t: r.Tenant) -> None:
    created = (
        w.created_time
        or (w.properties.time_created if w.properties else None)
        or (w.system_data.created_at if w.system_data else None)
    )
    evidence(w.id, created or "", t)


def evidence(resource_id: str, created: str, t: r.Tenant) -> None:
    """Keep the oldest creation time of each subscription; ISO text in UTC sorts by time to the day."""
    if created:
        guid = subscription_of(resource_id)
        oldest = t.oldest.get(guid)
        if oldest is None or created[:19] < oldest.created[:19]:
            t.oldest[guid] = r.Dated(resource_id, created)


READERS = {
    SUBSCRIPTION: reader(SubscriptionWire, subscription),
    "microsoft.billing/billingproperty": reader(BillingWire, billing),
    "microsoft.compute/disks": reader(DatedWire, dated),
    "microsoft.resources/subscriptions/resourcegroups": reader(DatedWire, dated),
    "microsoft.resources/resourcegroups": reader(DatedWire, dated),
}
