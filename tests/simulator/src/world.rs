//! All sites of one simulator, behind one lock that is never held over an await.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::sender::Sender;
use crate::site::Site;
use crate::source::{Provider, Source};

pub(crate) type Sites = BTreeMap<String, Site>;

/// The state that every handler shares.
#[derive(Clone)]
pub(crate) struct World {
    sites: Arc<Mutex<Sites>>,
    pub(crate) source: Source,
    pub(crate) sender: Sender,
}

impl World {
    pub(crate) fn new(source: Source, sender: Sender) -> Self {
        Self {
            sites: Arc::default(),
            source,
            sender,
        }
    }

    pub(crate) fn provider(&self) -> &'static dyn Provider {
        self.source.provider()
    }

    pub(crate) fn sites(&self) -> MutexGuard<'_, Sites> {
        self.sites.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `work` on a site, if it is there.
    pub(crate) fn with_site<T>(
        &self,
        client_id: &str,
        work: impl FnOnce(&mut Site) -> T,
    ) -> Option<T> {
        self.sites().get_mut(client_id).map(work)
    }

    /// The first site of which this is true.
    pub(crate) fn site_where(&self, is: impl Fn(&str, &Site) -> bool) -> Option<String> {
        self.sites()
            .iter()
            .find(|(client_id, site)| is(client_id, site))
            .map(|(client_id, _)| client_id.clone())
    }

    /// The site that issued a token, also an expired one.
    pub(crate) fn site_of_token(&self, token: &str) -> Option<String> {
        self.site_where(|_, site| site.knows_token(token))
    }
}
