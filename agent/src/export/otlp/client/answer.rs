//! How a collector answers, and what follows from it. Pure: status codes and details in, a verdict out.

use crate::https::short;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceResponse;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;
use std::time::Duration;
use tonic::Code;

/// Longest wait that a collector may ask for.
const MOST_PATIENCE: Duration = Duration::from_secs(300);

/// It took what was sent, at least in part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accepted {
    /// Points or spans that it rejected for good.
    pub rejected: u64,
    /// What it says of it.
    pub message: String,
}

/// It did not take it, or did not say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// How it refused.
    pub kind: Kind,
    /// Whether to try again.
    pub again: Again,
    /// In its words.
    pub why: String,
}

/// How a collector refuses: label value `outcome`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It has too much to do.
    Throttled,
    /// It is not there, or says that it cannot.
    Unavailable,
    /// It does not answer in time.
    Timeout,
    /// It will not take this, now or later.
    Rejected,
    /// It says yes in words that are none.
    Unreadable,
}

/// Whether to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// Later.
    Later,
    /// Not before so long.
    After(Duration),
    /// Never.
    Never,
}

/// google.rpc.Status, of which only the details matter.
#[derive(Clone, PartialEq, Message)]
struct RichStatus {
    #[prost(message, repeated, tag = "3")]
    details: Vec<Detail>,
}

/// google.protobuf.Any.
#[derive(Clone, PartialEq, Message)]
struct Detail {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

/// google.rpc.RetryInfo.
#[derive(Clone, PartialEq, Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    delay: Option<Delay>,
}

/// google.protobuf.Duration.
#[derive(Clone, Copy, PartialEq, Message)]
struct Delay {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

impl Kind {
    /// Label value.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Throttled => "throttled",
            Kind::Unavailable => "unavailable",
            Kind::Timeout => "timeout",
            Kind::Rejected => "rejected",
            Kind::Unreadable => "unreadable",
        }
    }
}

impl From<ExportMetricsServiceResponse> for Accepted {
    fn from(response: ExportMetricsServiceResponse) -> Accepted {
        let partial = response.partial_success.unwrap_or_default();
        let rejected = u64::try_from(partial.rejected_data_points).unwrap_or(0);
        Accepted { rejected, message: partial.error_message }
    }
}

impl From<ExportTraceServiceResponse> for Accepted {
    fn from(response: ExportTraceServiceResponse) -> Accepted {
        let partial = response.partial_success.unwrap_or_default();
        Accepted { rejected: u64::try_from(partial.rejected_spans).unwrap_or(0), message: partial.error_message }
    }
}

impl Refused {
    /// There was no answer.
    pub fn unavailable(why: String) -> Refused {
        Refused { kind: Kind::Unavailable, again: Again::Later, why }
    }

    /// There was none in time.
    pub fn timeout(limit: Duration) -> Refused {
        Refused { kind: Kind::Timeout, again: Again::Later, why: format!("no answer within {limit:?}") }
    }

    /// A status that is no success, over HTTP; which of them are worth another try is the standard's choice.
    pub fn http(status: u16, retry_after: Option<&str>) -> Refused {
        let kind = match status {
            429 => Kind::Throttled,
            502..=504 => Kind::Unavailable,
            _ => Kind::Rejected,
        };
        // In seconds; a date needs a common clock, and is as good as none.
        let asked = retry_after.and_then(|seconds| seconds.trim().parse().ok()).map(Duration::from_secs);
        let again = match kind {
            Kind::Rejected => Again::Never,
            _ => asked.map_or(Again::Later, |delay| Again::After(delay.min(MOST_PATIENCE))),
        };
        Refused { kind, again, why: format!("HTTP status {status}") }
    }

    /// A status that is no success, over gRPC.
    pub fn grpc(code: Code, message: &str, details: &[u8]) -> Refused {
        let asked = retry_info(details).map(|delay| delay.min(MOST_PATIENCE));
        let kind = match code {
            Code::ResourceExhausted if asked.is_some() => Kind::Throttled,
            Code::Unavailable => Kind::Unavailable,
            Code::DeadlineExceeded | Code::Cancelled => Kind::Timeout,
            Code::Aborted | Code::OutOfRange | Code::DataLoss => Kind::Unavailable,
            _ => Kind::Rejected,
        };
        let again = match (kind, asked) {
            (Kind::Rejected, _) => Again::Never,
            (_, Some(delay)) => Again::After(delay),
            (_, None) => Again::Later,
        };
        Refused { kind, again, why: format!("gRPC status {code:?}: {}", short(message)) }
    }

    /// A success whose body is none of the protocol. It may have taken everything or nothing: to send it again could
    /// count twice.
    pub fn unreadable() -> Refused {
        Refused { kind: Kind::Unreadable, again: Again::Never, why: "its answer is not OTLP".to_owned() }
    }
}

fn retry_info(details: &[u8]) -> Option<Duration> {
    let status = RichStatus::decode(details).ok()?;
    let info = status.details.iter().find(|detail| detail.type_url.ends_with("google.rpc.RetryInfo"))?;
    let Delay { seconds, nanos } = RetryInfo::decode(info.value.as_slice()).ok()?.delay?;
    Some(Duration::new(u64::try_from(seconds).ok()?, u32::try_from(nanos).ok()?.min(999_999_999)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retry(seconds: i64) -> Vec<u8> {
        let value = RetryInfo { delay: Some(Delay { seconds, nanos: 5 }) }.encode_to_vec();
        let type_url = "type.googleapis.com/google.rpc.RetryInfo".to_owned();
        RichStatus { details: vec![Detail { type_url, value }] }.encode_to_vec()
    }

    #[test]
    fn over_http() {
        let after = |seconds| Again::After(Duration::from_secs(seconds));
        for (status, retry_after, kind, again) in [
            (429, Some("7"), Kind::Throttled, after(7)),
            (429, Some("99999"), Kind::Throttled, after(300)),
            (429, Some("Wed, 21 Oct 2015 07:28:00 GMT"), Kind::Throttled, Again::Later),
            (503, None, Kind::Unavailable, Again::Later),
            (503, Some("2"), Kind::Unavailable, after(2)),
            (400, Some("2"), Kind::Rejected, Again::Never),
            (500, None, Kind::Rejected, Again::Never),
            (301, None, Kind::Rejected, Again::Never),
        ] {
            let refused = Refused::http(status, retry_after);
            assert_eq!((refused.kind, refused.again), (kind, again), "{status} {retry_after:?}");
        }
    }

    #[test]
    fn over_grpc() {
        for (code, details, kind, again) in [
            (Code::ResourceExhausted, retry(3), Kind::Throttled, Again::After(Duration::new(3, 5))),
            (Code::ResourceExhausted, Vec::new(), Kind::Rejected, Again::Never),
            (Code::Unavailable, retry(-1), Kind::Unavailable, Again::Later),
            (Code::Unavailable, vec![0xff; 9], Kind::Unavailable, Again::Later),
            (Code::DeadlineExceeded, Vec::new(), Kind::Timeout, Again::Later),
            (Code::Unauthenticated, retry(3), Kind::Rejected, Again::Never),
        ] {
            let refused = Refused::grpc(code, "no\n", &details);
            assert_eq!((refused.kind, refused.again), (kind, again), "{code:?}");
            assert!(!refused.why.contains('\n'));
        }
    }
}
