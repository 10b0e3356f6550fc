//! Traces: what ties a message to the request that it comes from, for whoever follows it through several systems.
//!
//! | | X-Ray's header | W3C's `traceparent` |
//! |---|---|---|
//! | comes | with the invocation of inbound, from Lambda | with a delivery, if its sender traces |
//! | travels | as the system attribute [`TRACE_HEADER`] of SQS | as the message attribute [`TRACEPARENT`] |
//! | counts towards a message's size and its ten attributes | no | yes |
//!
//! Neither says anything about the event, so what cannot be read is left out and never a reason to refuse a message. The
//! grammar is strict for the same reason: SQS refuses a trace header that is not well-formed, and with it the event.
//!
//! Retries of a message keep its trace. What is sent again by an operator is another piece of work, on another day: a replay, and
//! what is released from quarantine or from the undelivered queue, has no trace of the delivery.
//!
//! <https://docs.aws.amazon.com/xray/latest/devguide/xray-services-sqs.html>,
//! <https://www.w3.org/TR/trace-context/#traceparent-header>

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// The message system attribute of SQS that has X-Ray's header.
pub const TRACE_HEADER: &str = "AWSTraceHeader";
/// The header of a delivery, and the message attribute, with W3C's trace context.
pub const TRACEPARENT: &str = "traceparent";

/// A text that names no trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("no trace context")]
pub struct NoTrace;

/// X-Ray's tracing header: `Root=1-{8 hex}-{24 hex};Parent={16 hex};Sampled={0|1|?}`, the last two where they are known.
///
/// Lambda's `Lineage` and whatever else it may have are left out.
/// <https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader>
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct XRayHeader {
    /// When the trace began: 8 digits.
    epoch: String,
    /// What is its own: 24 digits.
    unique: String,
    /// The segment that sent the message: 16 digits.
    segment: Option<String>,
    sampled: Option<Sampled>,
}

/// Whether a trace is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sampled {
    No,
    Yes,
    /// Whoever is next decides.
    Undecided,
}

impl Sampled {
    fn as_str(self) -> &'static str {
        match self {
            Self::No => "0",
            Self::Yes => "1",
            Self::Undecided => "?",
        }
    }
}

/// The longest header that is read: Lambda's have some 120 characters.
const LONGEST_HEADER: usize = 512;

impl FromStr for XRayHeader {
    type Err = NoTrace;

    fn from_str(text: &str) -> Result<Self, NoTrace> {
        if text.len() > LONGEST_HEADER {
            return Err(NoTrace);
        }
        let (mut root, mut parent, mut sampled) = (None, None, None);
        for member in text.split(';') {
            let (name, value) = member.trim().split_once('=').unwrap_or_default();
            let place = match name {
                "Root" => &mut root,
                "Parent" => &mut parent,
                "Sampled" => &mut sampled,
                _ => continue,
            };
            if place.replace(value).is_some() {
                return Err(NoTrace);
            }
        }
        let ids = root.and_then(|root| root.strip_prefix("1-")?.split_once('-'));
        let (epoch, unique) = ids.ok_or(NoTrace)?;
        let sampled = sampled.map(|sampled| match sampled {
            "0" => Ok(Sampled::No),
            "1" => Ok(Sampled::Yes),
            "?" => Ok(Sampled::Undecided),
            _ => Err(NoTrace),
        });
        let segment = parent.map(|parent| hex(parent, 16).filter(|id| !is_zero(id)).ok_or(NoTrace));
        Ok(Self {
            epoch: hex(epoch, 8).ok_or(NoTrace)?,
            unique: hex(unique, 24).filter(|id| !is_zero(id)).ok_or(NoTrace)?,
            segment: segment.transpose()?,
            sampled: sampled.transpose()?,
        })
    }
}

impl fmt::Display for XRayHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Root=1-{}-{}", self.epoch, self.unique)?;
        if let Some(segment) = &self.segment {
            write!(f, ";Parent={segment}")?;
        }
        match self.sampled {
            Some(sampled) => write!(f, ";Sampled={}", sampled.as_str()),
            None => Ok(()),
        }
    }
}

impl XRayHeader {
    /// The same trace as W3C writes it; none where the header names no segment.
    ///
    /// <https://docs.aws.amazon.com/xray/latest/devguide/xray-api-sendingdata.html#xray-api-traceids>
    #[must_use]
    pub fn traceparent(&self) -> Option<TraceParent> {
        let segment = self.segment.as_ref()?;
        let flags = match self.sampled {
            Some(Sampled::Yes) => SAMPLED,
            Some(Sampled::No | Sampled::Undecided) | None => 0,
        };
        let (epoch, unique) = (&self.epoch, &self.unique);
        Some(TraceParent(format!(
            "00-{epoch}{unique}-{segment}-{flags:02x}"
        )))
    }
}

/// W3C's `traceparent` of version 00: `00-{32 hex}-{16 hex}-{2 hex}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceParent(String);

/// The flag of a trace that is recorded.
const SAMPLED: u8 = 1;
/// The flags that are known: sampled, and a trace id that is random. The others have to be sent as zero.
const FLAGS: u8 = SAMPLED | 2;
/// The version that is no version.
const NO_VERSION: &str = "ff";

impl FromStr for TraceParent {
    type Err = NoTrace;

    /// A later version is read by what it has of this one, as the specification asks, and written as this one.
    fn from_str(text: &str) -> Result<Self, NoTrace> {
        let mut parts = text.split('-');
        let mut digits = |count| {
            let part = parts.next().filter(|part| is_lower_hex(part, count));
            part.ok_or(NoTrace)
        };
        let (version, trace, span, flags) = (digits(2)?, digits(32)?, digits(16)?, digits(2)?);
        let has_more = parts.next().is_some();
        if version == NO_VERSION || is_zero(trace) || is_zero(span) || version == "00" && has_more {
            return Err(NoTrace);
        }
        let flags = u8::from_str_radix(flags, 16).map_err(|_| NoTrace)? & FLAGS;
        Ok(Self(format!("00-{trace}-{span}-{flags:02x}")))
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The trace of a message, as far as it has one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trace {
    /// X-Ray's.
    pub header: Option<XRayHeader>,
    /// That of the delivery's sender.
    pub parent: Option<TraceParent>,
}

impl Trace {
    /// Reads both, each where there is one that can be read.
    #[must_use]
    pub fn read(header: Option<&str>, parent: Option<&str>) -> Self {
        Self {
            header: header.and_then(|header| header.parse().ok()),
            parent: parent.and_then(|parent| parent.parse().ok()),
        }
    }

    /// The attribute [`TRACEPARENT`] of a lane's message: the sender's. That of X-Ray can be made of its header, and would be
    /// paid for.
    #[must_use]
    pub fn sender(&self) -> Option<(&'static str, String)> {
        let parent = self.parent.as_ref()?;
        Some((TRACEPARENT, parent.to_string()))
    }

    /// The attribute [`TRACEPARENT`] of a team's message: the sender's, else that of X-Ray.
    #[must_use]
    pub fn attribute(&self) -> Option<(&'static str, String)> {
        let of_xray = || {
            Some((
                TRACEPARENT,
                self.header.as_ref()?.traceparent()?.to_string(),
            ))
        };
        self.sender().or_else(of_xray)
    }
}

/// So many hexadecimal digits, in lower case.
fn hex(text: &str, count: usize) -> Option<String> {
    let text = text.to_ascii_lowercase();
    is_lower_hex(&text, count).then_some(text)
}

fn is_lower_hex(text: &str, count: usize) -> bool {
    text.len() == count
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_zero(digits: &str) -> bool {
    digits.bytes().all(|digit| digit == b'0')
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const HEADER: &str =
        "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1";
    const OF_HEADER: &str = "00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01";
    const SENDERS: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

    #[rstest]
    #[case::whole(HEADER, HEADER, Some(OF_HEADER))]
    #[case::of_lambda(&format!("{HEADER};Lineage=1:a87bd80c:0"), HEADER, Some(OF_HEADER))]
    #[case::in_another_order(
        " Sampled=1 ; Self=1-1-2;Parent=53995C3F42CD8AD8; Root=1-5759E988-BD862E3FE1BE46A994272793;",
        HEADER,
        Some(OF_HEADER)
    )]
    #[case::not_sampled(
        "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=0",
        "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=0",
        Some("00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-00")
    )]
    #[case::undecided(
        "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=?",
        "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=?",
        Some("00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-00")
    )]
    #[case::no_decision(
        "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8",
        "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8",
        Some("00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-00")
    )]
    #[case::root_alone(
        "Root=1-5759e988-bd862e3fe1be46a994272793",
        "Root=1-5759e988-bd862e3fe1be46a994272793",
        None
    )]
    fn the_header_of_x_ray_is_read(
        #[case] text: &str,
        #[case] written: &str,
        #[case] traceparent: Option<&str>,
    ) {
        let header: XRayHeader = text.parse().unwrap();
        assert_eq!(header.to_string(), written);
        assert_eq!(written.parse(), Ok(header.clone()));
        let found = header.traceparent();
        let found = found.as_ref().map(TraceParent::to_string);
        assert_eq!(found.as_deref(), traceparent);
        // What is made of it is a trace context by its own grammar.
        let again: Option<TraceParent> = found.map(|found| found.parse().unwrap());
        assert_eq!(again, header.traceparent());
    }

    #[rstest]
    #[case::nothing("")]
    #[case::words("a trace")]
    #[case::no_root("Parent=53995c3f42cd8ad8;Sampled=1")]
    #[case::another_version("Root=2-5759e988-bd862e3fe1be46a994272793")]
    #[case::no_version("Root=5759e988-bd862e3fe1be46a994272793")]
    #[case::short_root("Root=1-5759e988-bd862e3fe1be46a99427279")]
    #[case::long_root("Root=1-5759e988-bd862e3fe1be46a9942727931")]
    #[case::short_epoch("Root=1-5759e98-bd862e3fe1be46a994272793")]
    #[case::no_hex("Root=1-5759e988-bd862e3fe1be46a99427279g")]
    #[case::beyond_ascii("Root=1-5759e98é-bd862e3fe1be46a994272793")]
    #[case::zero("Root=1-5759e988-000000000000000000000000")]
    #[case::two_roots(
        "Root=1-5759e988-bd862e3fe1be46a994272793;Root=1-5759e988-bd862e3fe1be46a994272793"
    )]
    #[case::short_parent("Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad")]
    #[case::empty_parent("Root=1-5759e988-bd862e3fe1be46a994272793;Parent=")]
    #[case::zero_parent("Root=1-5759e988-bd862e3fe1be46a994272793;Parent=0000000000000000")]
    #[case::other_decision("Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=2")]
    #[case::control("Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1\n1")]
    #[case::lower_case("root=1-5759e988-bd862e3fe1be46a994272793")]
    #[case::huge(&format!("{HEADER};Lineage={}", "1".repeat(500)))]
    fn what_is_no_header_of_x_ray_is_none(#[case] text: &str) {
        assert_eq!(text.parse::<XRayHeader>(), Err(NoTrace));
        assert_eq!(Trace::read(Some(text), None), Trace::default());
    }

    #[rstest]
    #[case::not_sampled(SENDERS, SENDERS)]
    #[case::sampled(OF_HEADER, OF_HEADER)]
    #[case::random(
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-03",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-03"
    )]
    #[case::flags_of_later(
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-fd",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    )]
    #[case::later_version(
        "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    )]
    #[case::later_version_with_more(
        "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what-the-future",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    )]
    fn a_traceparent_is_read(#[case] text: &str, #[case] written: &str) {
        let parent: TraceParent = text.parse().unwrap();
        assert_eq!(parent.to_string(), written);
        assert_eq!(written.parse(), Ok(parent));
    }

    #[rstest]
    #[case::nothing("")]
    #[case::words("not-a-trace-id")]
    #[case::no_version("ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")]
    #[case::zero_trace("00-00000000000000000000000000000000-b7ad6b7169203331-01")]
    #[case::zero_span("00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01")]
    #[case::upper_case("00-0AF7651916CD43DD8448EB211C80319C-B7AD6B7169203331-01")]
    #[case::upper_case_flags("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0A")]
    #[case::short_trace("00-0af7651916cd43dd8448eb211c80319-b7ad6b7169203331-01")]
    #[case::short_span("00-0af7651916cd43dd8448eb211c80319c-b7ad6b716920333-01")]
    #[case::short_flags("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1")]
    #[case::no_flags("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331")]
    #[case::more_of_this_version("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-")]
    #[case::more_without_a_hyphen("01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01.x")]
    #[case::space(" 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")]
    #[case::two(&format!("{SENDERS},{SENDERS}"))]
    #[case::no_hex("00-0af7651916cd43dd8448eb211c80319g-b7ad6b7169203331-01")]
    #[case::beyond_ascii("00-0af7651916cd43dd8448eb211c8031é-b7ad6b7169203331-01")]
    #[case::huge(&"0".repeat(100_000))]
    fn what_is_no_traceparent_is_none(#[case] text: &str) {
        assert_eq!(text.parse::<TraceParent>(), Err(NoTrace));
        assert_eq!(Trace::read(None, Some(text)), Trace::default());
    }

    #[rstest]
    #[case::neither(None, None, None, None)]
    #[case::senders(None, Some(SENDERS), Some(SENDERS), Some(SENDERS))]
    #[case::of_x_ray(Some(HEADER), None, None, Some(OF_HEADER))]
    #[case::both(Some(HEADER), Some(SENDERS), Some(SENDERS), Some(SENDERS))]
    #[case::senders_is_malformed(Some(HEADER), Some("00"), None, Some(OF_HEADER))]
    fn a_team_gets_the_sender_s_or_that_of_x_ray(
        #[case] header: Option<&str>,
        #[case] parent: Option<&str>,
        #[case] lane: Option<&str>,
        #[case] team: Option<&str>,
    ) {
        let trace = Trace::read(header, parent);
        let named = |value: &str| (TRACEPARENT, value.to_owned());
        assert_eq!(trace.sender(), lane.map(named));
        assert_eq!(trace.attribute(), team.map(named));
    }
}
