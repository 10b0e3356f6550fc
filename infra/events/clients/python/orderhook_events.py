"""The messages of a team's queue as types, for a checker such as mypy or pyright; json.loads gives what they describe.

Generated from infra/events/*.schema.json: do not edit. Python 3.11 or newer.
"""

from typing import Any, Literal, NotRequired, TypedDict, Union


# One message of a team's queue: a CloudEvents 1.0 event in structured JSON
# (https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md). Delivery is
# at least once and in no particular order: drop repeats by `id`, order by `sequence` where there is
# one and else by `id`. The schema is open on purpose: later versions may add attributes, so a
# consumer must ignore those it does not know. Orderhook's own tests close it, so that no attribute
# leaves that is not described here.
class Event(TypedDict):
    # The connected account; the last part of `source`, by itself so that a queue's filter can match
    # it.
    account: str
    # The record, byte for byte as the source sent it: every field, also those that its
    # documentation does not list, with numbers and escapes as they were; in a unified event the
    # resource of orderhook-unified.schema.json. Fields may be absent, null or empty, numbers come
    # as 20 or 20.0: read them as decimals, and tolerate what you do not know. Orderspace's stock
    # events carry absolute levels (`on_hand`, `available`) and differences (`…_adjustment`): apply
    # the absolute ones, so that a repeat changes nothing.
    data: NotRequired[dict[str, Any]]
    # The form of the record, inline or behind `dataref`.
    datacontenttype: Literal["application/json"]
    # Present instead of `data` when the record is too large for a message, or holds a character
    # that SQS refuses: the S3 object that holds the record (CloudEvents' claim check:
    # https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/extensions/dataref.md). Its bytes
    # are what `data` would have been. Read it while you handle the message, not later: the operator
    # may let objects expire after some days.
    dataref: NotRequired[str]
    # The delivery (one HTTP request of the source) that brought the event: a UUIDv7, the first part
    # of `id`. Events with the same delivery id came together; ask operations for it to find the raw
    # request.
    deliveryid: str
    # Identifies the event: the delivery id, a dot, and the position in the delivery in five digits.
    # Ids sort as text by when the event was first seen: of two events with the same `subject`, the
    # greater id was seen later and, where they have no `sequence`, is taken for the newer state,
    # whichever arrives first. A repeat of an event (the source's retry, SQS's redelivery, a replay)
    # carries the same id. Deliveries that arrived within a few milliseconds of each other have no
    # certain order.
    id: str
    # Present, and true, when type and bytes of the record equal one of the record's last eight
    # contents that another event brought. The source may have sent the same thing twice, also where
    # its first answer was lost on the way and another event lies between; or the same thing may
    # have happened twice: nothing that it sends tells them apart. Setting a state is safe either
    # way; before counting or adding up, decide what the case means to you.
    possibleduplicate: NotRequired[Literal[True]]
    # Present, and true, when an operator sent the event again; the message attribute `replayed`
    # says so too. The id is that of the first time: a consumer that drops repeats by `id` drops a
    # replay of what it has seen, and one that wants it keeps ids apart by this mark.
    replayed: NotRequired[Literal[True]]
    # Present where an operator sent the event again in a job with others: the job's id.
    replayjob: NotRequired[str]
    # Present where the source sends a time that orders the events of a record (CloudEvents'
    # sequence: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/extensions/sequence.md):
    # milliseconds since 1970 in fifteen digits, a dot, and `id`. Of two events with the same
    # `subject`, the one whose sequence is the greater text is the newer state. Where it is absent,
    # order by `id`.
    sequence: NotRequired[str]
    # Where the event comes from: the source, such as `orderspace`, and the connected account.
    # `source` and `id` together are unique.
    source: str
    # Present where the source gives its events ids: the source's own, by which its support knows
    # the event. Drop repeats by `id`, not by this.
    sourceid: NotRequired[str]
    # Present where the source sends it: when the event happened, by the source's clock and as it
    # was spelled.
    sourcetime: NotRequired[str]
    # Present where `type` is not the source's own: what the source called the event, with the
    # source's name.
    sourcetype: NotRequired[str]
    # The version of CloudEvents.
    specversion: Literal["1.0"]
    # The record that the event is about: its kind and its key, unique within the account. The key
    # is the source's `id`; for Orderspace's stock it is the `sku`, which may hold spaces and
    # slashes, so split at the first slash only. A payment has no id at Orderspace: its key is the
    # invoice id and a hash of date, amount, source and reference, and two payments that agree in
    # all of these share a subject although both may be real. An event without a usable key has its
    # own id in the key's place.
    subject: str
    # When Orderhook received the delivery, in UTC. It is not the time of the change: where the
    # source sends that, it is `sourcetime`. A retry keeps the id of the first attempt. Do not order
    # by it.
    time: str
    # What happened: the source's name, a dot, and the source's own name of the event, whose
    # letters, digits, `.`, `_`, `-` and `@` follow each source's habit. The list may grow: an event
    # that a source adds is passed on under its own name, so have a branch for types you do not
    # know. Teams whose route asks for unified events get `ecommerce.` in the place of the source's
    # name, with one of `order`, `product`, `customer` and one of `created`, `updated`, `deleted`:
    # see orderhook-unified.schema.json. A delete of Orderspace carries only what identifies the
    # record and `deleted`: true; treat it as final.
    type: str


# What happened.
class AccountEventData(TypedDict):
    # The same as `time`.
    at: str
    # The system that the account's deliveries come from.
    source: str
    # Where the account was at that moment.
    status: Literal["connecting", "connected", "disconnecting", "disconnected"]
    # The entry of the account's history, for people: its words may change with any release. At most
    # 1000 characters.
    what: str


# One message about an account, for teams whose route names `orderhook.account.…`: a CloudEvents 1.0
# event in structured JSON
# (https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md). Delivery is
# at least once and in no particular order: drop repeats by `id`, order by `id`. The schema is open
# on purpose: later versions may add attributes, so a consumer must ignore those it does not know.
class AccountEvent(TypedDict):
    # The account; the last part of `source`, by itself so that a queue's filter can match it.
    account: str
    # What happened.
    data: "AccountEventData"
    # The form of `data`.
    datacontenttype: Literal["application/json"]
    # Identifies the event, in the form of all events' ids: made from the account, the time and the
    # position among what happened in the same call. Ids of an account sort as text by when it
    # happened, and a repeat carries the same id.
    id: str
    # Orderhook, and the account. `source` and `id` together are unique.
    source: str
    # The version of CloudEvents.
    specversion: Literal["1.0"]
    # The account.
    subject: str
    # When it happened or was noticed, in UTC.
    time: str
    # `connected`: a webhook is registered and in use, also in the place of one that was missing.
    # `changed`: something else was changed, and no delivery is in doubt because of it. `suspect`:
    # deliveries may be missing. `failed`: deliveries are or were not received, or the account is
    # not connected as it shall be. `repaired`: what kept deliveries away is over. `disconnected`:
    # no webhook is left, and no delivery is taken.
    type: Literal["orderhook.account.connected", "orderhook.account.changed", "orderhook.account.suspect", "orderhook.account.failed", "orderhook.account.repaired", "orderhook.account.disconnected"]


class CustomerAddresses(TypedDict):
    city: NotRequired[Union[str, None]]
    country: NotRequired[Union[str, None]]
    id: NotRequired[Union[str, None]]
    line1: NotRequired[Union[str, None]]
    line2: NotRequired[Union[str, None]]
    postal_code: NotRequired[Union[str, None]]
    state: NotRequired[Union[str, None]]
    type: Literal["billing", "shipping", "other"]


class CustomerOrders(TypedDict):
    id: NotRequired[Union[str, None]]
    status: NotRequired[Union[str, None]]
    # An amount.
    total: NotRequired[Union[str, None]]


# A customer: Apideck's EcommerceCustomer.
class Customer(TypedDict):
    addresses: NotRequired[Union[list["CustomerAddresses"], None]]
    company_name: NotRequired[Union[str, None]]
    # By the source's clock.
    created_at: NotRequired[Union[str, None]]
    # ISO 4217.
    currency: NotRequired[Union[str, None]]
    emails: NotRequired[Union[list["Email"], None]]
    first_name: NotRequired[Union[str, None]]
    # The source's id of the record.
    id: str
    last_name: NotRequired[Union[str, None]]
    name: NotRequired[Union[str, None]]
    orders: NotRequired[Union[list["CustomerOrders"], None]]
    phone_numbers: NotRequired[Union[list["PhoneNumber"], None]]
    # Whether it is in use.
    status: NotRequired[Literal["active", "archived", None]]
    # By the source's clock.
    updated_at: NotRequired[Union[str, None]]


class Discount(TypedDict):
    # An amount.
    amount: NotRequired[Union[str, None]]
    code: NotRequired[Union[str, None]]
    # A part: 0.1 is 10 %.
    percentage: NotRequired[Union[str, None]]


class Email(TypedDict):
    email: str
    id: NotRequired[Union[str, None]]
    # What it is for.
    type: NotRequired[Literal["primary", "secondary", "work", "personal", "billing", "other", None]]


# What is left of a resource of which the event says that it is deleted.
class IdOnly(TypedDict):
    # The source's id of the record.
    id: str


class Image(TypedDict):
    id: NotRequired[Union[str, None]]
    url: NotRequired[Union[str, None]]


class LineItem(TypedDict):
    description: NotRequired[Union[str, None]]
    discounts: NotRequired[Union[list["Discount"], None]]
    id: NotRequired[Union[str, None]]
    is_refunded: NotRequired[Union[bool, None]]
    name: NotRequired[Union[str, None]]
    options: NotRequired[Union[list["OptionValue"], None]]
    product_id: NotRequired[Union[str, None]]
    # How many are ordered.
    quantity: NotRequired[Union[str, None]]
    # An amount.
    refunded_amount: NotRequired[Union[str, None]]
    # A quantity.
    refunded_quantity: NotRequired[Union[str, None]]
    sku: NotRequired[Union[str, None]]
    # Without tax.
    sub_total: NotRequired[Union[str, None]]
    # An amount.
    tax_amount: NotRequired[Union[str, None]]
    # A part: 0.08 is 8 %.
    tax_rate: NotRequired[Union[str, None]]
    # With tax.
    total_amount: NotRequired[Union[str, None]]
    # An amount.
    unit_price: NotRequired[Union[str, None]]
    variant_id: NotRequired[Union[str, None]]


class OptionValue(TypedDict):
    id: NotRequired[Union[str, None]]
    name: NotRequired[Union[str, None]]
    value: NotRequired[Union[str, None]]


# An order: Apideck's EcommerceOrder.
class Order(TypedDict):
    billing_address: NotRequired[Union["OrderAddress", None]]
    # An amount.
    coupon_discount: NotRequired[Union[str, None]]
    # By the source's clock, as it was spelled.
    created_at: NotRequired[Union[str, None]]
    # ISO 4217.
    currency: NotRequired[Union[str, None]]
    customer: NotRequired[Union["OrderCustomer", None]]
    discounts: NotRequired[Union[list["Discount"], None]]
    # How far it is sent.
    fulfillment_status: NotRequired[Literal["pending", "shipped", "partial", "delivered", "cancelled", "returned", "unknown", None]]
    # The source's id of the record.
    id: str
    # What is ordered, without shipping.
    line_items: NotRequired[Union[list["LineItem"], None]]
    # The customer's note.
    note: NotRequired[Union[str, None]]
    # The number that people know the order by.
    order_number: NotRequired[Union[str, None]]
    # In the source's words.
    payment_method: NotRequired[Union[str, None]]
    # How far it is paid.
    payment_status: NotRequired[Literal["pending", "authorized", "paid", "partial", "refunded", "voided", "unknown", "partially_refunded", None]]
    # An amount.
    refunded_amount: NotRequired[Union[str, None]]
    refunds: NotRequired[Union[list["Refund"], None]]
    shipping_address: NotRequired[Union["OrderAddress", None]]
    # Net of tax.
    shipping_cost: NotRequired[Union[str, None]]
    # `other` where a source's states are a site's own, `unknown` where a state is not documented.
    status: NotRequired[Literal["active", "completed", "cancelled", "archived", "unknown", "other", None]]
    # The lines without shipping, net of tax.
    sub_total: NotRequired[Union[str, None]]
    # Whether the prices of the lines include tax.
    tax_inclusive: NotRequired[Union[bool, None]]
    # What is to be paid, tax included.
    total_amount: NotRequired[Union[str, None]]
    # An amount.
    total_discount: NotRequired[Union[str, None]]
    # An amount.
    total_tax: NotRequired[Union[str, None]]
    tracking: NotRequired[Union[list["Tracking"], None]]
    # By the source's clock, as it was spelled.
    updated_at: NotRequired[Union[str, None]]


class OrderAddress(TypedDict):
    city: NotRequired[Union[str, None]]
    company_name: NotRequired[Union[str, None]]
    # As the source spells it.
    country: NotRequired[Union[str, None]]
    line1: NotRequired[Union[str, None]]
    line2: NotRequired[Union[str, None]]
    postal_code: NotRequired[Union[str, None]]
    state: NotRequired[Union[str, None]]


class OrderCustomer(TypedDict):
    company_name: NotRequired[Union[str, None]]
    emails: NotRequired[Union[list["Email"], None]]
    first_name: NotRequired[Union[str, None]]
    id: NotRequired[Union[str, None]]
    last_name: NotRequired[Union[str, None]]
    name: NotRequired[Union[str, None]]
    phone_numbers: NotRequired[Union[list["PhoneNumber"], None]]


class PhoneNumber(TypedDict):
    area_code: NotRequired[Union[str, None]]
    country_code: NotRequired[Union[str, None]]
    extension: NotRequired[Union[str, None]]
    id: NotRequired[Union[str, None]]
    number: str
    type: NotRequired[Union[str, None]]


class ProductCategories(TypedDict):
    id: NotRequired[Union[str, None]]
    name: NotRequired[Union[str, None]]


class ProductOptions(TypedDict):
    id: NotRequired[Union[str, None]]
    name: NotRequired[Union[str, None]]
    values: NotRequired[list[str]]


# A product: Apideck's EcommerceProduct.
class Product(TypedDict):
    categories: NotRequired[Union[list["ProductCategories"], None]]
    # By the source's clock.
    created_at: NotRequired[Union[str, None]]
    description: NotRequired[Union[str, None]]
    # The source's id of the record.
    id: str
    images: NotRequired[Union[list["Image"], None]]
    # A quantity.
    inventory_quantity: NotRequired[Union[str, None]]
    name: NotRequired[Union[str, None]]
    options: NotRequired[Union[list["ProductOptions"], None]]
    # Of a product with one variant; else see the variants.
    price: NotRequired[Union[str, None]]
    # That of the only variant, or the product's own code.
    sku: NotRequired[Union[str, None]]
    # Whether it is in use.
    status: NotRequired[Literal["active", "archived", None]]
    tags: NotRequired[Union[list[str], None]]
    # By the source's clock.
    updated_at: NotRequired[Union[str, None]]
    variants: NotRequired[Union[list["Variant"], None]]
    # In `weight_unit`.
    weight: NotRequired[Union[str, None]]
    weight_unit: NotRequired[Union[str, None]]


class Refund(TypedDict):
    # An amount.
    amount: NotRequired[Union[str, None]]
    # By the source's clock.
    created_at: NotRequired[Union[str, None]]
    currency: NotRequired[Union[str, None]]
    id: NotRequired[Union[str, None]]
    reason: NotRequired[Union[str, None]]


class Tracking(TypedDict):
    number: str
    provider: str
    # By the source's clock.
    updated_at: NotRequired[Union[str, None]]
    url: NotRequired[Union[str, None]]


class Variant(TypedDict):
    id: NotRequired[Union[str, None]]
    images: NotRequired[Union[list["Image"], None]]
    # A quantity.
    inventory_quantity: NotRequired[Union[str, None]]
    name: NotRequired[Union[str, None]]
    options: NotRequired[Union[list["OptionValue"], None]]
    # An amount.
    price: NotRequired[Union[str, None]]
    sku: NotRequired[Union[str, None]]
    # In `weight_unit`.
    weight: NotRequired[Union[str, None]]
    weight_unit: NotRequired[Union[str, None]]
