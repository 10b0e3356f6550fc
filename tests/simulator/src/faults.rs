//! Faults that a test sets on a site: what the network, a proxy or Orderspace itself may do to a request.

use serde::{Deserialize, Serialize};

/// Which requests a fault is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Door {
    /// `POST /oauth/token`.
    Token,
    /// `/v1/...`.
    Api,
    /// Both.
    #[default]
    Any,
}

/// What happens to the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// Served properly, so many milliseconds late.
    DelayMs(u64),
    /// Not served; answered with this status (500, 503, 429..) and an empty body.
    Status(u16),
    /// The credentials or the access token are refused, although they are right.
    Refuse,
    /// Not served; 422 with a message, as where a webhook is not acceptable.
    Unprocessable,
    /// Not served; 200 with an HTML page, as a proxy in between would answer.
    Html,
    /// Not served; no answer for so many milliseconds, then 504.
    TimeOutMs(u64),
    /// Served, but answered with this status.
    WorkThenStatus(u16),
    /// Served, but no answer for so many milliseconds, then 504.
    WorkThenTimeOutMs(u64),
    /// Served, and the answer's body ends in its middle.
    WorkThenTruncate,
}

/// A fault with the requests that meet it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// The requests it is for.
    #[serde(default)]
    pub on: Door,
    /// Only requests with this method, in capitals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// So many matching requests pass first.
    #[serde(default)]
    pub skip: u32,
    /// So many requests meet it; absent: until cleared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
    /// What happens.
    pub fault: FaultKind,
}

impl Fault {
    /// A fault for every request until it is cleared.
    pub fn on(door: Door, fault: FaultKind) -> Self {
        Self {
            on: door,
            method: None,
            skip: 0,
            times: None,
            fault,
        }
    }

    /// The same for the next `times` requests only.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }

    /// The same for one method only.
    #[must_use]
    pub fn method(mut self, method: &str) -> Self {
        self.method = Some(method.to_ascii_uppercase());
        self
    }

    /// The same after `skip` matching requests.
    #[must_use]
    pub fn skip(mut self, skip: u32) -> Self {
        self.skip = skip;
        self
    }

    fn matches(&self, door: Door, method: &str) -> bool {
        (self.on == Door::Any || self.on == door)
            && self.method.as_deref().is_none_or(|only| only == method)
    }
}

/// Takes the first fault that a request meets, and counts it. Used-up faults are removed.
pub(crate) fn meet(faults: &mut Vec<Fault>, door: Door, method: &str) -> Option<FaultKind> {
    let mut met = None;
    for fault in faults
        .iter_mut()
        .filter(|fault| fault.matches(door, method))
    {
        if fault.skip > 0 {
            fault.skip -= 1;
        } else if fault.times != Some(0) {
            fault.times = fault.times.map(|times| times - 1);
            met = Some(fault.fault);
            break;
        }
    }
    faults.retain(|fault| fault.times != Some(0));
    met
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_met_as_often_as_it_says_by_the_requests_it_is_for() {
        let mut faults = vec![
            Fault::on(Door::Api, FaultKind::Status(503))
                .method("post")
                .skip(1)
                .times(2),
        ];
        let mut post = || meet(&mut faults, Door::Api, "POST");
        assert_eq!(post(), None);
        assert_eq!(post(), Some(FaultKind::Status(503)));
        assert_eq!(meet(&mut faults, Door::Api, "GET"), None);
        assert_eq!(meet(&mut faults, Door::Token, "POST"), None);
        assert_eq!(
            meet(&mut faults, Door::Api, "POST"),
            Some(FaultKind::Status(503))
        );
        assert_eq!(meet(&mut faults, Door::Api, "POST"), None);
        assert!(faults.is_empty());
    }

    #[test]
    fn a_fault_without_a_count_stays() {
        let mut faults = vec![Fault::on(Door::Any, FaultKind::Html)];
        for _ in 0..3 {
            assert_eq!(
                meet(&mut faults, Door::Token, "POST"),
                Some(FaultKind::Html)
            );
        }
    }

    #[test]
    fn the_json_form_is_short() {
        let fault: Fault =
            serde_json::from_str(r#"{"on":"token","fault":{"delay_ms":5},"times":1}"#).unwrap();
        assert_eq!(
            fault,
            Fault::on(Door::Token, FaultKind::DelayMs(5)).times(1)
        );
        let refuse: Fault = serde_json::from_str(r#"{"fault":"refuse"}"#).unwrap();
        assert_eq!(refuse, Fault::on(Door::Any, FaultKind::Refuse));
    }
}
