// The messages of a team's queue as types; JSON.parse gives what they describe.
// Generated from infra/events/*.schema.json: do not edit.

/**
 * One message of a team's queue: a CloudEvents 1.0 event in structured JSON
 * (https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md). Delivery is
 * at least once and in no particular order: drop repeats by `id`, order by `sequence` where there
 * is one and else by `id`. The schema is open on purpose: later versions may add attributes, so a
 * consumer must ignore those it does not know. Orderhook's own tests close it, so that no attribute
 * leaves that is not described here.
 */
export interface Event {
  /**
   * The connected account; the last part of `source`, by itself so that a queue's filter can match
   * it.
   */
  account: string;
  /**
   * The record, byte for byte as the source sent it: every field, also those that its documentation
   * does not list, with numbers and escapes as they were; in a unified event the resource of
   * orderhook-unified.schema.json. Fields may be absent, null or empty, numbers come as 20 or 20.0:
   * read them as decimals, and tolerate what you do not know. Orderspace's stock events carry
   * absolute levels (`on_hand`, `available`) and differences (`…_adjustment`): apply the absolute
   * ones, so that a repeat changes nothing.
   */
  data?: Record<string, unknown>;
  /**
   * The form of the record, inline or behind `dataref`.
   */
  datacontenttype: "application/json";
  /**
   * Present instead of `data` when the record is too large for a message, or holds a character that
   * SQS refuses: the S3 object that holds the record (CloudEvents' claim check:
   * https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/extensions/dataref.md). Its bytes
   * are what `data` would have been. Read it while you handle the message, not later: the operator
   * may let objects expire after some days.
   */
  dataref?: string;
  /**
   * The delivery (one HTTP request of the source) that brought the event: a UUIDv7, the first part
   * of `id`. Events with the same delivery id came together; ask operations for it to find the raw
   * request.
   */
  deliveryid: string;
  /**
   * Identifies the event: the delivery id, a dot, and the position in the delivery in five digits.
   * Ids sort as text by when the event was first seen: of two events with the same `subject`, the
   * greater id was seen later and, where they have no `sequence`, is taken for the newer state,
   * whichever arrives first. A repeat of an event (the source's retry, SQS's redelivery, a replay)
   * carries the same id. Deliveries that arrived within a few milliseconds of each other have no
   * certain order.
   */
  id: string;
  /**
   * Present, and true, when type and bytes of the record equal one of the record's last eight
   * contents that another event brought. The source may have sent the same thing twice, also where
   * its first answer was lost on the way and another event lies between; or the same thing may have
   * happened twice: nothing that it sends tells them apart. Setting a state is safe either way;
   * before counting or adding up, decide what the case means to you.
   */
  possibleduplicate?: true;
  /**
   * Present, and true, when an operator sent the event again; the message attribute `replayed` says
   * so too. The id is that of the first time: a consumer that drops repeats by `id` drops a replay
   * of what it has seen, and one that wants it keeps ids apart by this mark.
   */
  replayed?: true;
  /**
   * Present where an operator sent the event again in a job with others: the job's id.
   */
  replayjob?: string;
  /**
   * Present where the source sends a time that orders the events of a record (CloudEvents'
   * sequence: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/extensions/sequence.md):
   * milliseconds since 1970 in fifteen digits, a dot, and `id`. Of two events with the same
   * `subject`, the one whose sequence is the greater text is the newer state. Where it is absent,
   * order by `id`.
   */
  sequence?: string;
  /**
   * Where the event comes from: the source, such as `orderspace`, and the connected account.
   * `source` and `id` together are unique.
   */
  source: string;
  /**
   * Present where the source gives its events ids: the source's own, by which its support knows the
   * event. Drop repeats by `id`, not by this.
   */
  sourceid?: string;
  /**
   * Present where the source sends it: when the event happened, by the source's clock and as it was
   * spelled.
   */
  sourcetime?: string;
  /**
   * Present where `type` is not the source's own: what the source called the event, with the
   * source's name.
   */
  sourcetype?: string;
  /**
   * The version of CloudEvents.
   */
  specversion: "1.0";
  /**
   * The record that the event is about: its kind and its key, unique within the account. The key is
   * the source's `id`; for Orderspace's stock it is the `sku`, which may hold spaces and slashes,
   * so split at the first slash only. A payment has no id at Orderspace: its key is the invoice id
   * and a hash of date, amount, source and reference, and two payments that agree in all of these
   * share a subject although both may be real. An event without a usable key has its own id in the
   * key's place.
   */
  subject: string;
  /**
   * When Orderhook received the delivery, in UTC. It is not the time of the change: where the
   * source sends that, it is `sourcetime`. A retry keeps the id of the first attempt. Do not order
   * by it.
   */
  time: string;
  /**
   * What happened: the source's name, a dot, and the source's own name of the event, whose letters,
   * digits, `.`, `_`, `-` and `@` follow each source's habit. The list may grow: an event that a
   * source adds is passed on under its own name, so have a branch for types you do not know. Teams
   * whose route asks for unified events get `ecommerce.` in the place of the source's name, with
   * one of `order`, `product`, `customer` and one of `created`, `updated`, `deleted`: see
   * orderhook-unified.schema.json. A delete of Orderspace carries only what identifies the record
   * and `deleted`: true; treat it as final.
   */
  type: string;
}

/**
 * What happened.
 */
export interface AccountEventData {
  /**
   * The same as `time`.
   */
  at: string;
  /**
   * The system that the account's deliveries come from.
   */
  source: string;
  /**
   * Where the account was at that moment.
   */
  status: "connecting" | "connected" | "disconnecting" | "disconnected";
  /**
   * The entry of the account's history, for people: its words may change with any release. At most
   * 1000 characters.
   */
  what: string;
}

/**
 * One message about an account, for teams whose route names `orderhook.account.…`: a CloudEvents
 * 1.0 event in structured JSON
 * (https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md). Delivery is
 * at least once and in no particular order: drop repeats by `id`, order by `id`. The schema is open
 * on purpose: later versions may add attributes, so a consumer must ignore those it does not know.
 */
export interface AccountEvent {
  /**
   * The account; the last part of `source`, by itself so that a queue's filter can match it.
   */
  account: string;
  /**
   * What happened.
   */
  data: AccountEventData;
  /**
   * The form of `data`.
   */
  datacontenttype: "application/json";
  /**
   * Identifies the event, in the form of all events' ids: made from the account, the time and the
   * position among what happened in the same call. Ids of an account sort as text by when it
   * happened, and a repeat carries the same id.
   */
  id: string;
  /**
   * Orderhook, and the account. `source` and `id` together are unique.
   */
  source: string;
  /**
   * The version of CloudEvents.
   */
  specversion: "1.0";
  /**
   * The account.
   */
  subject: string;
  /**
   * When it happened or was noticed, in UTC.
   */
  time: string;
  /**
   * `connected`: a webhook is registered and in use, also in the place of one that was missing.
   * `changed`: something else was changed, and no delivery is in doubt because of it. `suspect`:
   * deliveries may be missing. `failed`: deliveries are or were not received, or the account is not
   * connected as it shall be. `repaired`: what kept deliveries away is over. `disconnected`: no
   * webhook is left, and no delivery is taken.
   */
  type: "orderhook.account.connected" | "orderhook.account.changed" | "orderhook.account.suspect" | "orderhook.account.failed" | "orderhook.account.repaired" | "orderhook.account.disconnected";
}

export interface CustomerAddresses {
  city?: string | null;
  country?: string | null;
  id?: string | null;
  line1?: string | null;
  line2?: string | null;
  postal_code?: string | null;
  state?: string | null;
  type: "billing" | "shipping" | "other";
}

export interface CustomerOrders {
  id?: string | null;
  status?: string | null;
  /**
   * An amount.
   */
  total?: string | null;
}

/**
 * A customer: Apideck's EcommerceCustomer.
 */
export interface Customer {
  addresses?: Array<CustomerAddresses> | null;
  company_name?: string | null;
  /**
   * By the source's clock.
   */
  created_at?: string | null;
  /**
   * ISO 4217.
   */
  currency?: string | null;
  emails?: Array<Email> | null;
  first_name?: string | null;
  /**
   * The source's id of the record.
   */
  id: string;
  last_name?: string | null;
  name?: string | null;
  orders?: Array<CustomerOrders> | null;
  phone_numbers?: Array<PhoneNumber> | null;
  /**
   * Whether it is in use.
   */
  status?: "active" | "archived" | null;
  /**
   * By the source's clock.
   */
  updated_at?: string | null;
}

export interface Discount {
  /**
   * An amount.
   */
  amount?: string | null;
  code?: string | null;
  /**
   * A part: 0.1 is 10 %.
   */
  percentage?: string | null;
}

export interface Email {
  email: string;
  id?: string | null;
  /**
   * What it is for.
   */
  type?: "primary" | "secondary" | "work" | "personal" | "billing" | "other" | null;
}

/**
 * What is left of a resource of which the event says that it is deleted.
 */
export interface IdOnly {
  /**
   * The source's id of the record.
   */
  id: string;
}

export interface Image {
  id?: string | null;
  url?: string | null;
}

export interface LineItem {
  description?: string | null;
  discounts?: Array<Discount> | null;
  id?: string | null;
  is_refunded?: boolean | null;
  name?: string | null;
  options?: Array<OptionValue> | null;
  product_id?: string | null;
  /**
   * How many are ordered.
   */
  quantity?: string | null;
  /**
   * An amount.
   */
  refunded_amount?: string | null;
  /**
   * A quantity.
   */
  refunded_quantity?: string | null;
  sku?: string | null;
  /**
   * Without tax.
   */
  sub_total?: string | null;
  /**
   * An amount.
   */
  tax_amount?: string | null;
  /**
   * A part: 0.08 is 8 %.
   */
  tax_rate?: string | null;
  /**
   * With tax.
   */
  total_amount?: string | null;
  /**
   * An amount.
   */
  unit_price?: string | null;
  variant_id?: string | null;
}

export interface OptionValue {
  id?: string | null;
  name?: string | null;
  value?: string | null;
}

/**
 * An order: Apideck's EcommerceOrder.
 */
export interface Order {
  billing_address?: OrderAddress | null;
  /**
   * An amount.
   */
  coupon_discount?: string | null;
  /**
   * By the source's clock, as it was spelled.
   */
  created_at?: string | null;
  /**
   * ISO 4217.
   */
  currency?: string | null;
  customer?: OrderCustomer | null;
  discounts?: Array<Discount> | null;
  /**
   * How far it is sent.
   */
  fulfillment_status?: "pending" | "shipped" | "partial" | "delivered" | "cancelled" | "returned" | "unknown" | null;
  /**
   * The source's id of the record.
   */
  id: string;
  /**
   * What is ordered, without shipping.
   */
  line_items?: Array<LineItem> | null;
  /**
   * The customer's note.
   */
  note?: string | null;
  /**
   * The number that people know the order by.
   */
  order_number?: string | null;
  /**
   * In the source's words.
   */
  payment_method?: string | null;
  /**
   * How far it is paid.
   */
  payment_status?: "pending" | "authorized" | "paid" | "partial" | "refunded" | "voided" | "unknown" | "partially_refunded" | null;
  /**
   * An amount.
   */
  refunded_amount?: string | null;
  refunds?: Array<Refund> | null;
  shipping_address?: OrderAddress | null;
  /**
   * Net of tax.
   */
  shipping_cost?: string | null;
  /**
   * `other` where a source's states are a site's own, `unknown` where a state is not documented.
   */
  status?: "active" | "completed" | "cancelled" | "archived" | "unknown" | "other" | null;
  /**
   * The lines without shipping, net of tax.
   */
  sub_total?: string | null;
  /**
   * Whether the prices of the lines include tax.
   */
  tax_inclusive?: boolean | null;
  /**
   * What is to be paid, tax included.
   */
  total_amount?: string | null;
  /**
   * An amount.
   */
  total_discount?: string | null;
  /**
   * An amount.
   */
  total_tax?: string | null;
  tracking?: Array<Tracking> | null;
  /**
   * By the source's clock, as it was spelled.
   */
  updated_at?: string | null;
}

export interface OrderAddress {
  city?: string | null;
  company_name?: string | null;
  /**
   * As the source spells it.
   */
  country?: string | null;
  line1?: string | null;
  line2?: string | null;
  postal_code?: string | null;
  state?: string | null;
}

export interface OrderCustomer {
  company_name?: string | null;
  emails?: Array<Email> | null;
  first_name?: string | null;
  id?: string | null;
  last_name?: string | null;
  name?: string | null;
  phone_numbers?: Array<PhoneNumber> | null;
}

export interface PhoneNumber {
  area_code?: string | null;
  country_code?: string | null;
  extension?: string | null;
  id?: string | null;
  number: string;
  type?: string | null;
}

export interface ProductCategories {
  id?: string | null;
  name?: string | null;
}

export interface ProductOptions {
  id?: string | null;
  name?: string | null;
  values?: Array<string>;
}

/**
 * A product: Apideck's EcommerceProduct.
 */
export interface Product {
  categories?: Array<ProductCategories> | null;
  /**
   * By the source's clock.
   */
  created_at?: string | null;
  description?: string | null;
  /**
   * The source's id of the record.
   */
  id: string;
  images?: Array<Image> | null;
  /**
   * A quantity.
   */
  inventory_quantity?: string | null;
  name?: string | null;
  options?: Array<ProductOptions> | null;
  /**
   * Of a product with one variant; else see the variants.
   */
  price?: string | null;
  /**
   * That of the only variant, or the product's own code.
   */
  sku?: string | null;
  /**
   * Whether it is in use.
   */
  status?: "active" | "archived" | null;
  tags?: Array<string> | null;
  /**
   * By the source's clock.
   */
  updated_at?: string | null;
  variants?: Array<Variant> | null;
  /**
   * In `weight_unit`.
   */
  weight?: string | null;
  weight_unit?: string | null;
}

export interface Refund {
  /**
   * An amount.
   */
  amount?: string | null;
  /**
   * By the source's clock.
   */
  created_at?: string | null;
  currency?: string | null;
  id?: string | null;
  reason?: string | null;
}

export interface Tracking {
  number: string;
  provider: string;
  /**
   * By the source's clock.
   */
  updated_at?: string | null;
  url?: string | null;
}

export interface Variant {
  id?: string | null;
  images?: Array<Image> | null;
  /**
   * A quantity.
   */
  inventory_quantity?: string | null;
  name?: string | null;
  options?: Array<OptionValue> | null;
  /**
   * An amount.
   */
  price?: string | null;
  sku?: string | null;
  /**
   * In `weight_unit`.
   */
  weight?: string | null;
  weight_unit?: string | null;
}
