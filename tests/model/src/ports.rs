//! The ports as handlers see them: a fake behind each, and between them whatever goes wrong.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use domain::account::{AccountName, TokenEntry, TokenHash, TokenStatus};
use domain::envelope::{Body, DataRef};
use domain::fold::{Change, Known};
use domain::identity::RetryKey;
use domain::ports::{
    CheckClaims, ClaimCheck, DeliveryFailure, Keys, Marker, MarkerKey, Markers, Message, PortError,
    QueueUrl, Queues, Receipt, Receipts, Records, Redelivery, Tokens, Update, Written,
};
use domain::record::RecordKey;
use domain::signature::SigningKeys;
use domain::timestamp::Timestamp;
use testkit::rng::{Rng, word};

use crate::faults::{Kind, Step};
use crate::plan::CHECK_QUEUE;
use crate::world::{Key, World, now};
use crate::{TOLD_TO_PANIC, lock};

/// What one instance of a function is connected to.
pub(crate) struct Wire {
    pub(crate) world: Arc<World>,
    /// The invocation that is running.
    pub(crate) actor: AtomicUsize,
    /// Whether the function is of the next release.
    pub(crate) next: bool,
}

/// A member that the next release adds to envelopes, as it begins one.
pub(crate) const TO_COME: &str = r#"{"tocome":{"a":[1]},"#;

/// What a call may know of its fault.
struct Doing {
    actor: usize,
    fault: Option<Kind>,
    rng: Rng,
}

impl Wire {
    pub(crate) fn new(world: &Arc<World>, actor: usize) -> Self {
        Self {
            world: Arc::clone(world),
            actor: AtomicUsize::new(actor),
            next: false,
        }
    }

    fn actor(&self) -> usize {
        self.actor.load(Ordering::Relaxed)
    }

    async fn call<T, W>(
        &self,
        step: Step,
        scope: u64,
        entries: usize,
        work: W,
    ) -> Result<T, PortError>
    where
        T: Send + 'static,
        W: FnOnce(&World, &mut Doing) -> Result<T, PortError> + Send + 'static,
    {
        let world = &self.world;
        let work = |world: &Arc<World>, doing: &mut Doing| {
            let answer = work(world, doing);
            crate::lanes::wake(world);
            answer
        };
        let actor = self.actor();
        let (at, mut rng, tie) = world.enter(actor, step, scope);
        world.agenda.turn(at, tie).await;
        let fault = world.decide(actor, step, entries, &mut rng);
        let mut pause = rng.between(0, 4);
        let transient = |code: &str| PortError::transient(step.as_str(), code);
        let mut doing = Doing { actor, fault, rng };
        let answer = match fault {
            None | Some(Kind::Part | Kind::Content) => work(world, &mut doing),
            Some(Kind::Refused) => Err(transient("ServiceUnavailable")),
            Some(Kind::Throttled) => Err(transient("ThrottlingException")),
            Some(Kind::Lost) => {
                let _ = work(world, &mut doing);
                Err(transient("timeout"))
            }
            Some(Kind::Slow) => {
                let took = doing.rng.between(300, 6000);
                if doing.rng.percent(50) {
                    // The question takes its time, and meanwhile others write.
                    world.agenda.turn(world.now() + took, tie).await;
                } else {
                    pause = took;
                }
                work(world, &mut doing)
            }
            Some(Kind::Late) => {
                let later = world.now() + doing.rng.between(100, 40_000);
                let world = Arc::clone(world);
                lock(&world.ledger).late += 1;
                self.world.agenda.spawn(async move {
                    world.agenda.turn(later, tie).await;
                    world
                        .tell(|| format!("  {} of invocation {actor} is done late", step.as_str()));
                    let _ = work(&world, &mut doing);
                    lock(&world.ledger).late -= 1;
                });
                pending().await
            }
            Some(Kind::CrashBefore) => {
                world.crash(actor);
                pending().await
            }
            Some(Kind::CrashAfter) => {
                let _ = work(world, &mut doing);
                world.crash(actor);
                pending().await
            }
            Some(Kind::Panic) => panic!("{TOLD_TO_PANIC}"),
            Some(Kind::Hung | Kind::TwiceAtOnce | Kind::TwiceAfter | Kind::Reordered) => {
                pending().await
            }
        };
        let at = world.leave(actor, step, scope, world.now() + pause);
        world.agenda.turn(at, tie ^ 1).await;
        answer
    }
}

impl Tokens for Wire {
    async fn find(&self, token: &TokenHash) -> Result<Option<TokenEntry>, PortError> {
        let token = *token;
        let actor = self.actor();
        let work = move |world: &World, _: &mut Doing| now(world.tokens.find(&token));
        let found = self.call(Step::FindToken, 0, 1, work).await?;
        let status = found.as_ref().map(|entry| entry.status);
        let live = status == Some(TokenStatus::Live);
        self.world.knows_token(actor, token, live);
        Ok(found)
    }
}

impl Keys for Wire {
    async fn read(&self, account: &AccountName) -> Result<SigningKeys, PortError> {
        let account = account.clone();
        let scope = word(account.as_str());
        let actor = self.actor();
        let asked = self.world.now();
        self.world.asks_for_keys(actor);
        let work = move |world: &World, _: &mut Doing| now(world.keys.read(&account));
        let keys = self.call(Step::ReadKeys, scope, 1, work).await;
        self.world.is_told_keys(actor, asked, keys.is_ok());
        keys
    }
}

impl Receipts for Wire {
    async fn keep(&self, receipt: &Receipt<'_>) -> Result<(), PortError> {
        let (account, webhook) = (receipt.account.clone(), receipt.webhook.cloned());
        let (delivery, registration) = (receipt.delivery, receipt.registration);
        let (assurance, form, hash) = (receipt.assurance, receipt.form, receipt.hash);
        let (received, events) = (receipt.received, receipt.events);
        let (headers, part) = (receipt.headers.clone(), receipt.part.to_owned());
        let body = receipt.body.to_vec();
        let work = move |world: &World, doing: &mut Doing| {
            let receipt = Receipt {
                account: &account,
                delivery,
                registration,
                webhook: webhook.as_ref(),
                assurance,
                form,
                received,
                hash,
                events,
                headers: &headers,
                part: &part,
                body: &body,
            };
            world.sees_receipt(doing.actor, &receipt);
            now(world.receipts.keep(&receipt))
        };
        self.call(Step::KeepReceipt, 0, 1, work).await
    }

    async fn record_failure(&self, failure: &DeliveryFailure<'_>) -> Result<(), PortError> {
        let account = failure.account.clone();
        let (delivery, at, cause) = (failure.delivery, failure.at, failure.cause);
        let work = move |world: &World, _: &mut Doing| {
            let failure = DeliveryFailure {
                account: &account,
                delivery,
                at,
                cause,
            };
            now(world.receipts.record_failure(&failure))
        };
        self.call(Step::DeliveryFailure, 0, 1, work).await
    }
}

impl Markers for Wire {
    async fn find(&self, key: MarkerKey<'_>) -> Result<Option<Marker>, PortError> {
        let key = Held::of(key);
        let actor = self.actor();
        let work = move |world: &World, _: &mut Doing| {
            let shadow = world.shadow_of(actor);
            now(world.receipts.find(key.borrow())).map(|marker| (marker, shadow))
        };
        self.world.asks_for_marker(actor);
        let (marker, shadow) = self.call(Step::ReadMarker, 0, 1, work).await?;
        // Only what was answered is known.
        self.world.read_marker(actor, shadow);
        Ok(marker)
    }

    async fn lease(
        &self,
        key: MarkerKey<'_>,
        seen: &Marker,
        until: Timestamp,
    ) -> Result<bool, PortError> {
        let (key, seen) = (Held::of(key), *seen);
        let actor = self.actor();
        let work = move |world: &World, _: &mut Doing| {
            let leased = now(world.receipts.lease(key.borrow(), &seen, until))?;
            if leased {
                world.leases(actor, until.millis());
            }
            Ok(leased)
        };
        let leased = self.call(Step::LeaseMarker, 0, 1, work).await?;
        self.world.leased(actor, leased);
        Ok(leased)
    }

    async fn mark(
        &self,
        key: MarkerKey<'_>,
        marker: &Marker,
        begun: Timestamp,
        until: Timestamp,
    ) -> Result<(), PortError> {
        let (key, marker) = (Held::of(key), *marker);
        let work = move |world: &World, doing: &mut Doing| {
            world.sees_identity(doing.actor, marker.delivery.first_seen().millis());
            world.marks(doing.actor, &marker);
            now(world.receipts.mark(key.borrow(), &marker, begun, until))
        };
        self.call(Step::LeaveMarker, 0, 1, work).await
    }

    async fn unmark(&self, key: MarkerKey<'_>, until: Timestamp) -> Result<(), PortError> {
        let key = Held::of(key);
        let work = move |world: &World, doing: &mut Doing| {
            world.unmarks(doing.actor, until.millis());
            now(world.receipts.unmark(key.borrow(), until))
        };
        self.call(Step::RemoveMarker, 0, 1, work).await
    }
}

/// A marker's key, for work that is done later.
struct Held {
    account: AccountName,
    registration: TokenHash,
    retry: RetryKey,
}

impl Held {
    fn of(key: MarkerKey<'_>) -> Self {
        Self {
            account: key.account.clone(),
            registration: key.registration,
            retry: key.retry,
        }
    }

    fn borrow(&self) -> MarkerKey<'_> {
        MarkerKey {
            account: &self.account,
            registration: self.registration,
            retry: self.retry,
        }
    }
}

impl ClaimCheck for Wire {
    async fn put(&self, key: &str, bytes: &[u8]) -> Result<DataRef, PortError> {
        let (key, bytes) = (key.to_owned(), bytes.to_vec());
        let scope = place_word(event_at(&key));
        let work = move |world: &World, _: &mut Doing| now(world.oversize.put(&key, &bytes));
        self.call(Step::PutLarge, scope, 1, work).await
    }

    async fn get(&self, place: &DataRef) -> Result<Vec<u8>, PortError> {
        let place = place.clone();
        let event = event_at(place.as_str());
        let (actor, scope) = (self.actor(), place_word(event));
        self.world.fetches(actor, event, false);
        let work = move |world: &World, _: &mut Doing| now(world.oversize.get(&place));
        let got = self.call(Step::GetLarge, scope, 1, work).await?;
        self.world.fetches(actor, event, true);
        Ok(got)
    }
}

impl Records for Wire {
    async fn update(&self, key: &RecordKey, update: &Update<'_>) -> Result<Written, PortError> {
        let key = key.clone();
        let (latest, before) = (update.latest, update.before.to_vec());
        let (event_type, data) = (update.event_type.to_owned(), update.data.to_owned());
        let occurrences = update.occurrences.to_vec();
        let scope = word(&key.to_string());
        let work = move |world: &World, doing: &mut Doing| {
            let update = Update {
                latest,
                before: &before,
                event_type: &event_type,
                data: &data,
                occurrences: &occurrences,
            };
            let before: Vec<Key> = before.iter().map(|change| change.id.into()).collect();
            world.updates(doing.actor, latest.id.into(), &before, &data);
            now(world.records.update(&key, &update))
        };
        self.call(Step::UpdateRecord, scope, 1, work).await
    }

    async fn delete(&self, key: &RecordKey, delete: &Change) -> Result<Known, PortError> {
        let (key, delete) = (key.clone(), *delete);
        let scope = word(&key.to_string());
        let work = move |world: &World, doing: &mut Doing| {
            world.deletes(doing.actor, delete.id.into());
            now(world.records.delete(&key, &delete))
        };
        self.call(Step::DeleteRecord, scope, 1, work).await
    }
}

impl Redelivery for Wire {
    async fn delay(&self, queue: &QueueUrl, messages: &[(String, u32)]) -> Result<(), PortError> {
        let (queue, messages) = (queue.clone(), messages.to_vec());
        let entries = messages.len();
        let work = move |world: &World, doing: &mut Doing| {
            // The product's delays are partly random; the schedule's are its own, in the same range.
            for (handle, delay) in &messages {
                let millis = doing.rng.between(500, 20_000);
                world.delays(queue.as_str(), handle, *delay, millis);
            }
            Ok(())
        };
        self.call(Step::Delay, 0, entries, work).await
    }
}

impl CheckClaims for Wire {
    async fn claim_check(
        &self,
        account: &AccountName,
        at: Timestamp,
        until: Timestamp,
    ) -> Result<bool, PortError> {
        self.world.claims_check(self.actor(), account);
        now(self.world.receipts.claim_check(account, at, until))
    }
}

impl Queues for Wire {
    async fn send(
        &self,
        queue: &QueueUrl,
        batch: &[Message<'_>],
    ) -> Result<Vec<Result<(), PortError>>, PortError> {
        let world = &self.world;
        if queue.as_str() == CHECK_QUEUE {
            world.is_asked_for_checks(batch);
            return Ok(vec![Ok(()); batch.len()]);
        }
        let (step, mut scope) = world.step_of(queue);
        if step == Step::SendUndelivered
            && let Some(first) = batch.first()
        {
            // Several teams' events go there, each in its own time.
            scope ^= word(first.text.to_text().split(',').next().unwrap_or_default());
        }
        let queue = queue.clone();
        let messages: Vec<Message<'static>> = batch
            .iter()
            .map(|message| Message {
                text: Body::whole(match (step, self.next) {
                    (Step::SendLane, true) => message.text.to_text().replacen('{', TO_COME, 1),
                    _ => message.text.to_text(),
                }),
                group: message.group.clone(),
                deduplication: message.deduplication.clone(),
                attributes: message.attributes.clone(),
                trace: message.trace.clone(),
            })
            .collect();
        let entries = messages.len();
        let work =
            move |world: &World, doing: &mut Doing| world.send(step, &queue, messages, doing);
        self.call(step, scope, entries, work).await
    }
}

impl World {
    /// Sends what is not refused.
    fn send(
        &self,
        step: Step,
        queue: &QueueUrl,
        messages: Vec<Message<'static>>,
        doing: &mut Doing,
    ) -> Result<Vec<Result<(), PortError>>, PortError> {
        let bodies = messages.iter().map(|message| message.text.to_text());
        let bodies: Vec<String> = bodies.collect();
        let mut refused = vec![false; bodies.len()];
        if doing.fault == Some(Kind::Part) {
            refused.fill_with(|| doing.rng.percent(50));
            // One at least is refused, and one at least is not.
            let position = doing.rng.index(refused.len());
            let first = refused[position];
            if refused.iter().all(|one| *one == first) {
                refused[position] = !first;
            }
        }
        let mut ledger = lock(&self.ledger);
        let poison = |body: &String| word(queue.as_str()) ^ word(body).rotate_left(7);
        if doing.fault == Some(Kind::Content) {
            ledger.poisoned.insert(poison(&doing.rng.pick(&bodies)));
        }
        let is_poisoned = |body: &String| ledger.poisoned.contains(&poison(body));
        let poisoned: Vec<bool> = bodies.iter().map(is_poisoned).collect();
        let permanent = || PortError::permanent(step.as_str(), "InvalidMessageContents");
        if poisoned.contains(&true) {
            ledger.actors[doing.actor].faults += 1;
            // Some queues refuse a batch for one of its entries.
            if word(queue.as_str()) % 2 == self.plan.seed % 2 {
                return Err(permanent());
            }
        }
        drop(ledger);
        let mut answers =
            vec![Err(PortError::transient(step.as_str(), "ServiceUnavailable")); bodies.len()];
        let mut sent = Vec::new();
        for (position, message) in messages.into_iter().enumerate() {
            match (refused[position], poisoned[position]) {
                (_, true) => answers[position] = Err(permanent()),
                (true, _) => {}
                (false, false) => sent.push((position, message)),
            }
        }
        let (positions, sent): (Vec<usize>, Vec<Message<'_>>) = sent.into_iter().unzip();
        let accepted = now(self.queues.send(queue, &sent))?;
        self.queues.purge();
        let mut arrived = Vec::new();
        for ((position, answer), message) in positions.into_iter().zip(accepted).zip(&sent) {
            if answer.is_ok() {
                arrived.push((bodies[position].as_str(), message));
            }
            answers[position] = answer;
        }
        self.arrive(step, queue, &arrived, doing.actor);
        Ok(answers)
    }
}

/// Whose record a key in the store for large records names: its last segment is the event's id.
fn event_at(key: &str) -> Option<Key> {
    crate::oracle::key(key.rsplit('/').next()?)
}

fn place_word(event: Option<Key>) -> u64 {
    event.map_or(0, |Key(millis, index)| millis ^ (u64::from(index) << 48))
}
