//! What went wrong without stopping anything: a closed list, counted as `inferscope_issues_total{issue}`.
//!
//! Decoders return issues, they never log. One place (the core's sink) counts them and writes a rate-limited line.

/// Something in the traffic or its capture that could not be used as it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Issue {
    /// Events of a stream were lost; the stream goes on behind a gap.
    StreamGap,
    /// Two calls claimed the same stream bytes (two threads on one connection).
    StreamOverlap,
    /// Bytes that are not HTTP where a message should begin.
    HttpMalformed,
    /// A message head longer than the bound.
    HttpHeadTooLong,
    /// A response that no request was seen for.
    HttpUnexpectedResponse,
    /// A line of an event stream longer than the bound; its event is ignored.
    SseLineTooLong,
    /// A body that should be JSON and is not.
    JsonMalformed,
    /// JSON nested deeper than the bound.
    JsonTooDeep,
    /// A choice index above 63: its tokens are timed together with choice 63.
    ChoiceOverBound,
    /// A compressed answer: its content is not read.
    ContentEncoded,
    /// More connections than the core holds; the one idle longest was forgotten.
    ConnectionsOverBound,
    /// More pipelined requests on a connection than the core holds.
    RequestsOverBound,
    /// More inter-token gaps in one request than it keeps; later ones are counted as events, not timed.
    GapsOverBound,
    /// A connection speaks something that no decoder knows.
    ProtocolUnknown,
    /// A model name beyond the cap; its series are under `model="other"`.
    ModelOverBound,
    /// A workflow, class type, sampler or exception beyond the cap; its series are under "other".
    NameOverBound,
    /// A record from the kernel side that this build cannot read.
    RecordUnreadable,
    /// More sequences under way in a server's scheduler than are followed; the oldest was forgotten.
    SequencesOverBound,
    /// An engine's stamps are not of this host's monotonic clock (a time namespace): messages are timed when they are seen.
    EngineClock,
    /// A message between a server's processes that begins like a known one and can't be read.
    EngineMessageMalformed,
    /// A message between a server's processes of which too little was copied.
    EngineMessageTruncated,
    /// A call of a server's library with fewer arguments than its hook brings.
    CallUnreadable,
    /// More objects of a server's library than are held; the older ones were forgotten.
    ObjectsOverBound,
    /// More inferences under way in a process than are followed; the oldest was forgotten.
    InferencesOverBound,
    /// More instances of models in a process than are held; the one idle longest was forgotten.
    InstancesOverBound,
    /// A response that belongs to no request that was seen being made: one from before, or from a thread that did not make it.
    ResponseUnattributed,
    /// An execution of a model that no request was seen to name (a step of an ensemble): it is not counted.
    ExecutionUnattributed,
    /// Bytes that are no ZeroMQ frame where one should begin.
    ZmtpMalformed,
    /// Bytes that are no HTTP/2 frame where one should begin.
    Http2Malformed,
    /// A block of HTTP/2 header fields that can't be read, or longer than the bound.
    HpackMalformed,
    /// More jobs waiting at a server than are followed; the oldest was forgotten.
    JobsOverBound,
    /// A job of which the server wrote neither a last line nor a last message.
    JobEndUnseen,
    /// More nodes in a graph than are read; its workflow is not known.
    NodesOverBound,
    /// Bytes that are no WebSocket frame, or no deflated message, where one should be.
    WebSocketMalformed,
    /// A deflated WebSocket message that becomes longer than the bound.
    WebSocketTooLong,
    /// A WebSocket connection whose deflated messages can't be read: its beginning was not seen, or bytes are missing.
    WebSocketUnreadable,
    /// A line of a server's log longer than the bound: its end was left out.
    LogLineTooLong,
    /// More requests ended between two looks at the GPUs than are kept: these are not held against their GPU's state.
    GpuRequestsOverBound,
    /// The kubelet did not say as it should which pods have which devices; what it said last holds for a minute.
    PodResourcesUnread,
    /// Labels and owners of pods were not told as they should; what was told last holds.
    PodMetadataUnread,
}

impl Issue {
    /// Every issue.
    pub const ALL: &[Issue] = &[
        Issue::StreamGap,
        Issue::StreamOverlap,
        Issue::HttpMalformed,
        Issue::HttpHeadTooLong,
        Issue::HttpUnexpectedResponse,
        Issue::SseLineTooLong,
        Issue::JsonMalformed,
        Issue::JsonTooDeep,
        Issue::ChoiceOverBound,
        Issue::ContentEncoded,
        Issue::ConnectionsOverBound,
        Issue::RequestsOverBound,
        Issue::GapsOverBound,
        Issue::ProtocolUnknown,
        Issue::ModelOverBound,
        Issue::NameOverBound,
        Issue::RecordUnreadable,
        Issue::SequencesOverBound,
        Issue::EngineClock,
        Issue::EngineMessageMalformed,
        Issue::EngineMessageTruncated,
        Issue::CallUnreadable,
        Issue::ObjectsOverBound,
        Issue::InferencesOverBound,
        Issue::InstancesOverBound,
        Issue::ResponseUnattributed,
        Issue::ExecutionUnattributed,
        Issue::ZmtpMalformed,
        Issue::Http2Malformed,
        Issue::HpackMalformed,
        Issue::JobsOverBound,
        Issue::JobEndUnseen,
        Issue::NodesOverBound,
        Issue::WebSocketMalformed,
        Issue::WebSocketTooLong,
        Issue::WebSocketUnreadable,
        Issue::LogLineTooLong,
        Issue::GpuRequestsOverBound,
        Issue::PodResourcesUnread,
        Issue::PodMetadataUnread,
    ];

    /// Label value.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Issue::StreamGap => "stream_gap",
            Issue::StreamOverlap => "stream_overlap",
            Issue::HttpMalformed => "http_malformed",
            Issue::HttpHeadTooLong => "http_head_too_long",
            Issue::HttpUnexpectedResponse => "http_unexpected_response",
            Issue::SseLineTooLong => "sse_line_too_long",
            Issue::JsonMalformed => "json_malformed",
            Issue::JsonTooDeep => "json_too_deep",
            Issue::ChoiceOverBound => "choice_over_bound",
            Issue::ContentEncoded => "content_encoded",
            Issue::ConnectionsOverBound => "connections_over_bound",
            Issue::RequestsOverBound => "requests_over_bound",
            Issue::GapsOverBound => "gaps_over_bound",
            Issue::ProtocolUnknown => "protocol_unknown",
            Issue::ModelOverBound => "model_over_bound",
            Issue::NameOverBound => "name_over_bound",
            Issue::RecordUnreadable => "record_unreadable",
            Issue::SequencesOverBound => "sequences_over_bound",
            Issue::EngineClock => "engine_clock",
            Issue::EngineMessageMalformed => "engine_message_malformed",
            Issue::EngineMessageTruncated => "engine_message_truncated",
            Issue::CallUnreadable => "call_unreadable",
            Issue::ObjectsOverBound => "objects_over_bound",
            Issue::InferencesOverBound => "inferences_over_bound",
            Issue::InstancesOverBound => "instances_over_bound",
            Issue::ResponseUnattributed => "response_unattributed",
            Issue::ExecutionUnattributed => "execution_unattributed",
            Issue::ZmtpMalformed => "zmtp_malformed",
            Issue::Http2Malformed => "http2_malformed",
            Issue::HpackMalformed => "hpack_malformed",
            Issue::JobsOverBound => "jobs_over_bound",
            Issue::JobEndUnseen => "job_end_unseen",
            Issue::NodesOverBound => "nodes_over_bound",
            Issue::WebSocketMalformed => "websocket_malformed",
            Issue::WebSocketTooLong => "websocket_too_long",
            Issue::WebSocketUnreadable => "websocket_unreadable",
            Issue::LogLineTooLong => "log_line_too_long",
            Issue::GpuRequestsOverBound => "gpu_requests_over_bound",
            Issue::PodResourcesUnread => "pod_resources_unread",
            Issue::PodMetadataUnread => "pod_metadata_unread",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = include_str!("../../docs/troubleshooting.md");

    #[test]
    fn every_issue_and_loss_has_its_row_in_docs_troubleshooting_md() {
        let losses = inferscope_ebpf::Loss::ALL.map(inferscope_ebpf::Loss::name);
        for name in Issue::ALL.iter().map(|issue| issue.name()).chain(losses) {
            assert!(DOCUMENT.contains(&format!("\n| `{name}` | ")), "docs/troubleshooting.md has no row for `{name}`");
        }
    }

    #[test]
    fn no_row_is_of_an_issue_that_there_is_not() {
        let rows =
            DOCUMENT.split("\n## Issues\n").nth(1).and_then(|rest| rest.split("\n## ").next()).unwrap_or_default();
        let names = rows.lines().filter_map(|row| row.strip_prefix("| `")?.split('`').next());
        for name in names {
            assert!(Issue::ALL.iter().any(|issue| issue.name() == name), "there is no issue `{name}`");
        }
    }
}
