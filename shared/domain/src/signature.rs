//! Proof: whether a request comes from somebody who knows the registration's secret.
//!
//! A source reads what a request *offers* ([`Offer`]); only this module judges it, and only [`Offer::verify`] makes a
//! [`Verified`]. MACs and shared secrets are compared in constant time, and every live key is tried, so that the time taken
//! does not tell which one fits.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};
use thiserror::Error;

use crate::account::{KeysVersion, TokenHash, WebhookId};
use crate::delivery::{Delivery, Request};

/// A key of message authentication codes (HMAC-SHA256), as the source gave it. Does not print.
#[derive(Clone)]
pub struct MacKey(SecretString);

#[expect(clippy::disallowed_methods, reason = "the one reader of this secret")]
impl MacKey {
    /// Takes the key's characters; their bytes are the HMAC key, nothing is decoded.
    #[must_use]
    pub fn new(key: impl Into<String>) -> Self {
        Self(SecretString::from(key.into()))
    }

    /// The key's characters, for the one place that stores them.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// The HMAC-SHA256 of a message under this key: what a source that holds it sends. It says nothing about a message that
    /// was received; [`Offer::verify`] alone judges those.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Option<[u8; 32]> {
        self.mac(message)
    }

    /// The HMAC-SHA256 of a message under this key.
    fn mac(&self, message: &[u8]) -> Option<[u8; 32]> {
        // HMAC takes a key of any length, so this is never none; refusing is its safe reading.
        let mac = Hmac::<Sha256>::new_from_slice(self.0.expose_secret().as_bytes()).ok()?;
        Some(mac.chain_update(message).finalize().into_bytes().into())
    }
}

impl fmt::Debug for MacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MacKey(_)")
    }
}

/// Where in a request a shared secret stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In `Authorization`, as the credentials of the scheme `Basic`.
    Basic,
    /// In a header of our own.
    Header,
}

/// A secret that every request repeats at one place. Does not print, and cannot serve as a [`MacKey`].
#[derive(Clone)]
pub struct SharedSecret {
    place: Place,
    secret: SecretString,
}

#[expect(clippy::disallowed_methods, reason = "the one reader of this secret")]
impl SharedSecret {
    /// Takes a secret and the place at which it is sent.
    #[must_use]
    pub fn new(place: Place, secret: impl Into<String>) -> Self {
        Self {
            place,
            secret: SecretString::from(secret.into()),
        }
    }

    /// Where it is sent.
    #[must_use]
    pub fn place(&self) -> Place {
        self.place
    }

    /// The secret, for the one place that stores it.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.secret.expose_secret()
    }

    /// Whether this is the secret with that digest, at that place; compared in constant time.
    fn is(&self, place: Place, digest: &[u8; 32]) -> Choice {
        let ours = Sha256::digest(self.secret.expose_secret().as_bytes());
        Choice::from(u8::from(self.place == place)) & equal(&ours.into(), digest)
    }
}

impl fmt::Debug for SharedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SharedSecret({:?}, _)", self.place)
    }
}

/// The live secrets of one webhook: several while one replaces another.
#[derive(Debug, Clone, Default)]
pub struct LiveSecrets {
    /// Keys of MACs.
    pub macs: Vec<MacKey>,
    /// LiveSecrets that requests repeat.
    pub shared: Vec<SharedSecret>,
}

impl LiveSecrets {
    /// Whether both are the same secrets.
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        self.macs.len() == other.macs.len()
            && self.shared.len() == other.shared.len()
            && self
                .macs
                .iter()
                .zip(&other.macs)
                .all(|(one, other)| one.expose() == other.expose())
            && self
                .shared
                .iter()
                .zip(&other.shared)
                .all(|(one, other)| one.place() == other.place() && one.expose() == other.expose())
    }
}

impl From<MacKey> for LiveSecrets {
    fn from(key: MacKey) -> Self {
        Self {
            macs: vec![key],
            shared: Vec::new(),
        }
    }
}

/// The live secrets of one registration, and which version of them this is.
#[derive(Debug, Clone, Default)]
pub struct RegistrationKeys {
    /// The version.
    pub version: KeysVersion,
    /// The secrets.
    pub secrets: LiveSecrets,
}

/// The live secrets of an account, by registration.
///
/// Release 0.1.0 kept one MAC key for each of the source's webhooks, without a version. Such keys are read, and written
/// beside ours, for one release: while this one is rolled out, and if it is taken back, the functions of the one before
/// still find theirs.
#[derive(Debug, Clone, Default)]
pub struct SigningKeys {
    registrations: BTreeMap<TokenHash, RegistrationKeys>,
    by_webhook: BTreeMap<WebhookId, MacKey>,
}

impl SigningKeys {
    /// Takes keys as they were stored.
    #[must_use]
    pub fn stored(
        registrations: BTreeMap<TokenHash, RegistrationKeys>,
        by_webhook: BTreeMap<WebhookId, MacKey>,
    ) -> Self {
        Self {
            registrations,
            by_webhook,
        }
    }

    /// The registrations and their keys.
    #[must_use]
    pub fn registrations(&self) -> &BTreeMap<TokenHash, RegistrationKeys> {
        &self.registrations
    }

    /// The keys as release 0.1.0 looks for them.
    #[must_use]
    pub fn by_webhook(&self) -> &BTreeMap<WebhookId, MacKey> {
        &self.by_webhook
    }

    /// The keys of a registration; those that release 0.1.0 stored for its webhook count as version zero.
    #[must_use]
    pub fn of(
        &self,
        token: &TokenHash,
        webhook: Option<&WebhookId>,
    ) -> Option<Cow<'_, RegistrationKeys>> {
        let own = self.registrations.get(token).map(Cow::Borrowed);
        own.or_else(|| {
            let key = self.by_webhook.get(webhook?)?;
            Some(Cow::Owned(RegistrationKeys {
                version: KeysVersion::default(),
                secrets: key.clone().into(),
            }))
        })
    }

    /// Enters the keys of a registration, and of its webhook where the source has named it.
    pub fn put(&mut self, token: TokenHash, webhook: Option<&WebhookId>, keys: RegistrationKeys) {
        if let (Some(webhook), [key]) = (webhook, &*keys.secrets.macs) {
            self.by_webhook.insert(webhook.clone(), key.clone());
        }
        self.registrations.insert(token, keys);
    }

    /// Forgets the keys of all other registrations and webhooks.
    pub fn keep_only(
        &mut self,
        is_registered: impl Fn(&TokenHash) -> bool,
        is_ours: impl Fn(&WebhookId) -> bool,
    ) {
        self.registrations.retain(|token, _| is_registered(token));
        self.by_webhook.retain(|webhook, _| is_ours(webhook));
    }

    /// Whether both are the same keys in the same versions.
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        let same_key = |one: &MacKey, other: &MacKey| one.expose() == other.expose();
        self.registrations.len() == other.registrations.len()
            && self.by_webhook.len() == other.by_webhook.len()
            && self.registrations.iter().zip(&other.registrations).all(
                |((token, one), (other_token, other))| {
                    token == other_token
                        && one.version == other.version
                        && one.secrets.same(&other.secrets)
                },
            )
            && self.by_webhook.iter().zip(&other.by_webhook).all(
                |((webhook, one), (other_webhook, other))| {
                    webhook == other_webhook && same_key(one, other)
                },
            )
    }
}

/// One way of making the bytes that are signed, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Form(pub &'static str);

/// The most tags that a request may offer.
pub const MOST_TAGS: usize = 3;

/// The tags that a request offers: one to [`MOST_TAGS`], 32 bytes each. Does not print.
#[derive(Clone)]
pub struct Tags(Vec<[u8; 32]>);

impl Tags {
    /// One tag.
    #[must_use]
    pub fn one(tag: [u8; 32]) -> Self {
        Self(vec![tag])
    }

    /// Several tags, for sources that sign with each key that is live; `None` for none at all and for too many.
    #[must_use]
    pub fn several(tags: Vec<[u8; 32]>) -> Option<Self> {
        (1..=MOST_TAGS).contains(&tags.len()).then_some(Self(tags))
    }
}

impl fmt::Debug for Tags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tags({})", self.0.len())
    }
}

/// What a request offers as proof, read before anything is looked up.
#[derive(Debug, Clone)]
pub enum Offer {
    /// Tags over the request's bytes, made in one of these forms.
    Macs {
        /// The tags.
        tags: Tags,
        /// The forms that the source is known to use, the likeliest first.
        forms: &'static [Form],
    },
    /// Shared secrets, as SHA-256 digests of what was sent at each place. What is offered has to be right at every
    /// place.
    Shared {
        /// Of the credentials in `Authorization`.
        basic: Option<[u8; 32]>,
        /// Of our own header.
        header: Option<[u8; 32]>,
    },
    /// Nothing but the URL token.
    Nothing,
}

/// What a request is, read before anything is looked up.
#[derive(Debug, Clone)]
pub enum Screened {
    /// A delivery, with what it offers as proof.
    Delivery(Offer),
    /// A source's question whether anybody is there. It carries no event, so it is answered where its URL token is
    /// known, and nothing is written.
    Greeting,
}

/// What becomes of a request that proves nothing but its URL token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// It is refused.
    Require,
    /// The URL token proves it, since the form of the source's signatures is not published. A signature is checked all the
    /// same, and one that fits is a better proof.
    Observe,
}

impl Policy {
    /// The word that is stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Require => "require",
            Self::Observe => "observe",
        }
    }

    /// The stricter of two.
    #[must_use]
    pub fn stricter(self, other: Self) -> Self {
        match (self, other) {
            (Self::Observe, Self::Observe) => Self::Observe,
            (Self::Require, _) | (_, Self::Require) => Self::Require,
        }
    }
}

/// A word that names no [`Policy`]. It is not repeated: it may be a secret that was sent in the wrong field.
#[derive(Debug, Clone, Copy, Error, PartialEq, Eq)]
#[error("it has to be one of: require, observe")]
pub struct PolicyError;

impl FromStr for Policy {
    type Err = PolicyError;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        match word {
            "require" => Ok(Self::Require),
            "observe" => Ok(Self::Observe),
            _ => Err(PolicyError),
        }
    }
}

/// A request without usable proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ProofError {
    /// The signature or secret is missing.
    #[error("the request has no signature")]
    Missing,
    /// There is more than one, or it is not what the source's signatures look like.
    #[error("the request's signature is malformed")]
    Malformed,
}

/// What proved a delivery to be genuine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Assurance {
    /// A MAC under a live key.
    Signature,
    /// A live shared secret.
    SharedSecret,
    /// The URL token alone.
    UrlToken,
}

impl Assurance {
    /// The word that receipts and the admin API have.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Signature => "signature",
            Self::SharedSecret => "shared_secret",
            Self::UrlToken => "url_token",
        }
    }
}

/// A word that names no [`Assurance`].
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{0:?} proves nothing")]
pub struct AssuranceError(String);

impl FromStr for Assurance {
    type Err = AssuranceError;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        let all = [Self::Signature, Self::SharedSecret, Self::UrlToken];
        all.into_iter()
            .find(|assurance| assurance.as_str() == word)
            .ok_or_else(|| AssuranceError(word.to_owned()))
    }
}

impl Offer {
    /// The forms in which what is offered may be signed; none where it is no MAC.
    #[must_use]
    pub fn forms(&self) -> &'static [Form] {
        match self {
            Self::Macs { forms, .. } => forms,
            Self::Shared { .. } | Self::Nothing => &[],
        }
    }

    /// Judges what a request offers by the secrets of its registration. `signed` makes the signed bytes of a form, if the
    /// request has such a form. Where signatures are but observed, the URL token proves what no secret does.
    #[must_use]
    pub fn verify<'a>(
        &self,
        request: Request<'a>,
        secrets: &LiveSecrets,
        policy: Policy,
        signed: impl Fn(Request<'a>, Form) -> Option<Cow<'a, [u8]>>,
    ) -> Option<Verified<'a>> {
        let proved = match self {
            Self::Macs { tags, forms } => {
                let fits = |form: &&Form| {
                    let message = signed(request, **form);
                    message.is_some_and(|message| is_signed(&message, tags, &secrets.macs))
                };
                let form = forms.iter().find(fits);
                form.map(|form| (Assurance::Signature, Some(*form)))
            }
            Self::Shared { basic, header } => {
                let offered = [(Place::Basic, basic), (Place::Header, header)];
                is_shared(&offered, &secrets.shared).then_some((Assurance::SharedSecret, None))
            }
            Self::Nothing => None,
        };
        let (assurance, form) = proved.or(match (policy, self) {
            // Whoever forges a tag could leave it out as well, so a tag that does not fit is no worse than none.
            (Policy::Observe, Self::Macs { .. } | Self::Nothing) => {
                Some((Assurance::UrlToken, None))
            }
            (Policy::Observe, Self::Shared { .. }) | (Policy::Require, _) => None,
        })?;
        Some(Verified {
            request,
            assurance,
            form,
        })
    }
}

/// Whether one of the tags is the message's under one of the keys.
fn is_signed(message: &[u8], tags: &Tags, keys: &[MacKey]) -> bool {
    let mut fits = Choice::from(0);
    for mac in keys.iter().filter_map(|key| key.mac(message)) {
        for tag in &tags.0 {
            fits |= equal(&mac, tag);
        }
    }
    fits.into()
}

/// Compares all bytes, whichever of them differ.
fn equal(ours: &[u8; 32], theirs: &[u8; 32]) -> Choice {
    #[cfg(test)]
    tests::COMPARED.with(|compared| compared.set(compared.get() + ours.len()));
    ours.ct_eq(theirs)
}

/// Whether something is offered, and a live secret is offered wherever something is.
fn is_shared(offered: &[(Place, &Option<[u8; 32]>)], secrets: &[SharedSecret]) -> bool {
    let mut is_any = false;
    let mut fits = Choice::from(1);
    for (place, digest) in offered {
        let Some(digest) = digest else { continue };
        is_any = true;
        let mut is_live = Choice::from(0);
        for secret in secrets {
            is_live |= secret.is(*place, digest);
        }
        fits &= is_live;
    }
    is_any && fits.into()
}

/// A request that was proved to be genuine; [`Offer::verify`] is the only way to get one.
#[derive(Debug, Clone)]
pub struct Verified<'a> {
    request: Request<'a>,
    assurance: Assurance,
    form: Option<Form>,
}

impl<'a> Verified<'a> {
    /// The delivery.
    #[must_use]
    pub fn delivery(&self) -> Delivery<'a> {
        Delivery {
            headers: self.request.headers,
            part: self.request.part,
            body: self.request.body,
        }
    }

    /// What proved it.
    #[must_use]
    pub fn assurance(&self) -> Assurance {
        self.assurance
    }

    /// The form in which it was signed, where a signature proved it.
    #[must_use]
    pub fn form(&self) -> Option<Form> {
        self.form
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::account::UrlToken;
    use http::HeaderMap;
    use rstest::rstest;

    thread_local! {
        /// How many bytes were compared.
        pub(super) static COMPARED: Cell<usize> = const { Cell::new(0) };
    }

    /// Time tells nothing of a key: however close a forgery comes, and to whichever key, the work is the same.
    #[rstest]
    // requirement: unauthenticated-time
    fn a_wrong_tag_costs_the_same_wherever_it_is_wrong(
        #[values("first", "second", "third", "none")] key: &str,
        #[values(0, 15, 31)] wrong_byte: usize,
        #[values(0, 1, 2)] position: usize,
    ) {
        let secrets = LiveSecrets {
            macs: ["first", "second", "third"].map(MacKey::new).into(),
            shared: Vec::new(),
        };
        let mut close = MacKey::new(key).mac(b"body").unwrap();
        close[wrong_byte] ^= 1;
        let mut tags = vec![[0; 32]; 3];
        tags[position] = close;
        let offer = Offer::Macs {
            tags: Tags::several(tags).unwrap(),
            forms: &[Form("raw"), Form("reversed")],
        };
        COMPARED.set(0);
        assert_eq!(judge(&offer, &secrets, Policy::Require), None);
        // Two forms, three keys, three tags.
        assert_eq!(COMPARED.get(), 2 * 3 * 3 * 32);
    }

    #[rstest]
    // requirement: unauthenticated-time
    fn a_wrong_secret_costs_the_same_wherever_it_is_wrong(
        #[values("s", "old", "t", "")] offered: &str,
        #[values(Place::Basic, Place::Header)] place: Place,
    ) {
        let other = match place {
            Place::Basic => Place::Header,
            Place::Header => Place::Basic,
        };
        let digest = Some(digest(offered));
        let offer = match place {
            Place::Basic => Offer::Shared {
                basic: digest,
                header: None,
            },
            Place::Header => Offer::Shared {
                basic: None,
                header: digest,
            },
        };
        COMPARED.set(0);
        let judged = judge(&offer, &shared(other, &["old", "s"]), Policy::Require);
        assert_eq!(judged, None, "it is right at another place");
        assert_eq!(COMPARED.get(), 2 * 32);
    }

    fn digest(secret: &str) -> [u8; 32] {
        Sha256::digest(secret.as_bytes()).into()
    }

    fn judge(offer: &Offer, secrets: &LiveSecrets, policy: Policy) -> Option<Assurance> {
        let headers = HeaderMap::new();
        let request = Request {
            headers: &headers,
            part: "",
            body: b"body",
        };
        let signed = |request: Request<'_>, form: Form| match form.0 {
            "raw" => Some(Cow::Owned(request.body.to_vec())),
            "reversed" => Some(request.body.iter().rev().copied().collect()),
            _ => None,
        };
        let verified = offer.verify(request, secrets, policy, signed)?;
        assert_eq!(verified.delivery().body, b"body");
        let is_signed = verified.assurance() == Assurance::Signature;
        assert_eq!(verified.form().is_some(), is_signed);
        Some(verified.assurance())
    }

    #[rstest]
    #[case::the_first("body", Some(Form("raw")))]
    #[case::the_second("ydob", Some(Form("reversed")))]
    #[case::none("bodz", None)]
    fn the_form_that_fits_is_known(#[case] message: &str, #[case] form: Option<Form>) {
        let headers = HeaderMap::new();
        let request = Request {
            headers: &headers,
            part: "",
            body: b"body",
        };
        let signed = |request: Request<'_>, form: Form| match form.0 {
            "raw" => Some(Cow::Owned(request.body.to_vec())),
            _ => Some(request.body.iter().rev().copied().collect()),
        };
        let offer = Offer::Macs {
            tags: Tags::one(MacKey::new("k").mac(message.as_bytes()).unwrap()),
            forms: &[Form("raw"), Form("reversed")],
        };
        assert_eq!(offer.forms().len(), 2);
        let secrets = MacKey::new("k").into();
        let observed = offer.verify(request, &secrets, Policy::Observe, signed);
        assert_eq!(observed.unwrap().form(), form);
    }

    #[test]
    fn policies_have_their_words_and_the_stricter_counts() {
        use Policy::{Observe, Require};
        for policy in [Require, Observe] {
            assert_eq!(policy.as_str().parse(), Ok(policy));
            assert_eq!(policy.stricter(Require), Require);
            assert_eq!(policy.stricter(Observe), policy);
        }
        assert_eq!(
            [Require, Observe].map(Policy::as_str),
            ["require", "observe"]
        );
        assert!("Require".parse::<Policy>().is_err());
    }

    fn shared(place: Place, secrets: &[&str]) -> LiveSecrets {
        let shared = secrets
            .iter()
            .map(|secret| SharedSecret::new(place, *secret));
        LiveSecrets {
            macs: Vec::new(),
            shared: shared.collect(),
        }
    }

    #[rstest]
    #[case::the_first_form("body", &["k"], true)]
    #[case::another_form("ydob", &["k"], true)]
    #[case::another_body("bodz", &["k"], false)]
    #[case::the_second_of_two_keys("body", &["other", "k"], true)]
    #[case::no_key("body", &[], false)]
    #[case::another_key("body", &["other"], false)]
    fn a_tag_under_any_live_key_and_in_any_form_is_a_signature(
        #[case] signed: &str,
        #[case] live: &[&str],
        #[case] good: bool,
    ) {
        let tag = MacKey::new("k").mac(signed.as_bytes()).unwrap();
        let forms = &[Form("absent"), Form("raw"), Form("reversed")];
        let secrets = LiveSecrets {
            macs: live.iter().map(|key| MacKey::new(*key)).collect(),
            shared: Vec::new(),
        };
        let expected = good.then_some(Assurance::Signature);
        let one = Offer::Macs {
            tags: Tags::one(tag),
            forms,
        };
        assert_eq!(judge(&one, &secrets, Policy::Require), expected);
        let tags = Tags::several(vec![[0; 32], tag]).unwrap();
        let several = Offer::Macs { tags, forms };
        assert_eq!(judge(&several, &secrets, Policy::Require), expected);
        // Where signatures are observed, one that does not fit is never a reason to refuse.
        let observed = expected.or(Some(Assurance::UrlToken));
        assert_eq!(judge(&several, &secrets, Policy::Observe), observed);
    }

    #[test]
    fn one_to_three_tags_are_looked_at() {
        let count = |count| Tags::several(vec![[0; 32]; count]).is_some();
        assert_eq!([0, 1, 3, 4].map(count), [false, true, true, false]);
    }

    #[rstest]
    #[case::basic(Some("s"), None, Place::Basic, &["s"], true)]
    #[case::header(None, Some("s"), Place::Header, &["s"], true)]
    #[case::two_are_live(Some("s"), None, Place::Basic, &["old", "s"], true)]
    #[case::another(Some("t"), None, Place::Basic, &["s"], false)]
    #[case::at_another_place(None, Some("s"), Place::Basic, &["s"], false)]
    #[case::one_right_and_one_wrong(Some("s"), Some("s"), Place::Basic, &["s"], false)]
    #[case::nothing_offered(None, None, Place::Basic, &["s"], false)]
    #[case::nothing_live(Some("s"), None, Place::Basic, &[], false)]
    fn a_shared_secret_has_to_be_right_wherever_it_is_offered(
        #[case] basic: Option<&str>,
        #[case] header: Option<&str>,
        #[case] place: Place,
        #[case] live: &[&str],
        #[case] good: bool,
    ) {
        let offer = Offer::Shared {
            basic: basic.map(digest),
            header: header.map(digest),
        };
        // A secret that we made ourselves is published to nobody: a wrong one is never taken.
        for policy in [Policy::Require, Policy::Observe] {
            let judged = judge(&offer, &shared(place, live), policy);
            assert_eq!(judged, good.then_some(Assurance::SharedSecret));
        }
    }

    #[test]
    fn a_mac_key_is_no_shared_secret_and_a_shared_secret_no_mac_key() {
        let tag = MacKey::new("s").mac(b"body").unwrap();
        let macs = Offer::Macs {
            tags: Tags::one(tag),
            forms: &[Form("raw")],
        };
        assert_eq!(
            judge(&macs, &shared(Place::Basic, &["s"]), Policy::Require),
            None
        );
        let offer = Offer::Shared {
            basic: Some(digest("s")),
            header: None,
        };
        assert_eq!(
            judge(&offer, &MacKey::new("s").into(), Policy::Require),
            None
        );
    }

    #[test]
    fn a_url_token_alone_proves_only_where_the_policy_says_so() {
        let secrets = LiveSecrets::from(MacKey::new("k"));
        assert_eq!(judge(&Offer::Nothing, &secrets, Policy::Require), None);
        let observed = judge(&Offer::Nothing, &secrets, Policy::Observe);
        assert_eq!(observed, Some(Assurance::UrlToken));
    }

    #[test]
    fn no_secret_prints() {
        let secrets = LiveSecrets {
            macs: vec![MacKey::new("marker")],
            shared: vec![SharedSecret::new(Place::Header, "marker")],
        };
        assert!(!format!("{secrets:?}").contains("marker"));
        let offer = Offer::Macs {
            tags: Tags::one([77; 32]),
            forms: &[],
        };
        assert!(!format!("{offer:?}").contains("77"));
    }

    /// The words are in receipts.
    #[test]
    fn assurances_have_their_words() {
        use Assurance::{SharedSecret, Signature, UrlToken};
        assert_eq!(
            [Signature, SharedSecret, UrlToken].map(Assurance::as_str),
            ["signature", "shared_secret", "url_token"]
        );
        for assurance in [Signature, SharedSecret, UrlToken] {
            assert_eq!(assurance.as_str().parse(), Ok(assurance));
        }
        assert!("signed".parse::<Assurance>().is_err());
    }

    fn token(number: u8) -> TokenHash {
        UrlToken::from_random(&[number; 32]).hash()
    }

    fn keys(version: u64, key: &str) -> RegistrationKeys {
        RegistrationKeys {
            version: KeysVersion::new(version),
            secrets: MacKey::new(key).into(),
        }
    }

    fn shown(found: Option<Cow<'_, RegistrationKeys>>) -> Option<(u64, String)> {
        let found = found?;
        let key = found.secrets.macs.first()?.expose().to_owned();
        Some((found.version.get(), key))
    }

    #[test]
    fn keys_are_a_registration_s_and_those_of_the_release_before_its_webhook_s() {
        let webhook = WebhookId::new("wh_1");
        let before = BTreeMap::from([(webhook.clone(), MacKey::new("old"))]);
        let mut held = SigningKeys::stored(BTreeMap::new(), before);
        assert_eq!(shown(held.of(&token(1), None)), None);
        let old = Some((0, "old".to_owned()));
        assert_eq!(shown(held.of(&token(1), Some(&webhook))), old);
        held.put(token(1), Some(&webhook), keys(7, "new"));
        let new = Some((7, "new".to_owned()));
        assert_eq!(shown(held.of(&token(1), None)), new);
        assert_eq!(
            shown(held.of(&token(2), Some(&webhook))),
            Some((0, "new".to_owned()))
        );
        assert_eq!(shown(held.of(&token(2), None)), None);
    }

    #[test]
    fn only_the_keys_of_what_is_registered_are_kept() {
        let webhooks = ["wh_1", "wh_2"].map(WebhookId::new);
        let mut held = SigningKeys::default();
        for (number, webhook) in (1..).zip(&webhooks) {
            held.put(token(number), Some(webhook), keys(1, "k"));
        }
        let both = held.clone();
        held.keep_only(|kept| *kept == token(2), |kept| *kept == webhooks[1]);
        assert_eq!(held.registrations().keys().collect::<Vec<_>>(), [&token(2)]);
        assert_eq!(held.by_webhook().keys().collect::<Vec<_>>(), [&webhooks[1]]);
        assert!(!held.same(&both) && both.same(&both.clone()));
    }

    #[test]
    fn keys_are_the_same_in_secret_and_version() {
        let of = |version, key: &str| {
            let mut held = SigningKeys::default();
            held.put(token(1), None, keys(version, key));
            held
        };
        assert!(of(1, "k").same(&of(1, "k")));
        assert!(!of(1, "k").same(&of(2, "k")));
        assert!(!of(1, "k").same(&of(1, "l")));
        let of_a_webhook = |key: &str| {
            let mut held = SigningKeys::default();
            held.put(token(1), Some(&WebhookId::new("wh_1")), keys(1, key));
            held
        };
        let (one, mut other) = (of_a_webhook("k"), of_a_webhook("k"));
        assert!(one.same(&other));
        // The registration's keys are alike, and the webhook's are not.
        other.by_webhook = of_a_webhook("l").by_webhook;
        assert!(!one.same(&other) && !other.same(&one));
        let at = |place| LiveSecrets {
            macs: vec![],
            shared: vec![SharedSecret::new(place, "s")],
        };
        assert_eq!(at(Place::Basic).shared[0].expose(), "s");
        assert!(at(Place::Basic).same(&at(Place::Basic)));
        assert!(!at(Place::Basic).same(&at(Place::Header)));
        assert!(!at(Place::Basic).same(&LiveSecrets::default()));
    }
}
