//! Settings that are one of a few words.

use super::problem::{Path, Problems};
use super::setting::Setting;
use super::yaml::Yaml;
use serde_yaml::Value;

/// Declares an enumeration whose values are written as words.
macro_rules! choice {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
        }

        impl Setting for $name {
            fn read(value: &Value, path: &Path, problems: &mut Problems) -> Option<Self> {
                match value.as_str() {
                    $(Some($word) => Some($name::$variant),)+
                    _ => {
                        problems.add(path, super::setting::expected(&words(&[$($word),+]), value));
                        None
                    }
                }
            }

            fn write(&self) -> Yaml {
                Yaml::Scalar(match self { $($name::$variant => $word,)+ }.to_owned())
            }
        }
    };
}

choice! {
    /// Where calls are seen.
    Source {
        /// Uprobes where they can be placed, else syscalls.
        Auto = "auto",
        /// Uprobes, or an error.
        Uprobes = "uprobes",
        /// Syscall tracepoints.
        Syscalls = "syscalls",
    }
}

choice! {
    /// At which end the messages between a front end and its engines are read.
    EngineMessages {
        /// At the engine's, where there is one on this host, else at the front end's.
        Auto = "auto",
        /// At the engine's only.
        Engine = "engine",
        /// At the front end's only.
        Frontend = "frontend",
        /// In the bytes on the front end's sockets only.
        Wire = "wire",
        /// Nowhere.
        Off = "off",
    }
}

choice! {
    /// How much of streamed answers is read.
    Http {
        /// Every event.
        Full = "full",
        /// The first content event; then only that bytes are sent, where the engine's messages tell the rest.
        Edges = "edges",
    }
}

choice! {
    /// Who is asked for labels and owners of pods.
    PodSource {
        /// Nobody.
        None = "none",
        /// The node's kubelet.
        Kubelet = "kubelet",
        /// The API server.
        Api = "api",
    }
}

choice! {
    /// Which certificates are taken.
    Certificate {
        /// Those that somebody trusted has signed.
        Verified = "verified",
        /// Anybody's.
        Unverified = "unverified",
    }
}

choice! {
    /// How a collector is spoken to.
    Protocol {
        /// gRPC.
        Grpc = "grpc",
        /// Protobuf over HTTP/1.1.
        Http = "http/protobuf",
    }
}

choice! {
    /// How what is sent is compressed.
    Compression {
        /// Not at all.
        None = "none",
        /// gzip.
        Gzip = "gzip",
    }
}

choice! {
    /// What counters and histograms are counted from.
    Temporality {
        /// The beginning of the series.
        Cumulative = "cumulative",
        /// The last export that arrived.
        Delta = "delta",
    }
}

choice! {
    /// Which buckets histograms are sent with.
    Aggregation {
        /// The configured ones.
        Explicit = "explicit",
        /// Base-2 exponential ones.
        Exponential = "exponential",
    }
}

/// "a, b or c"
fn words(all: &[&str]) -> String {
    match all {
        [before @ .., last] if !before.is_empty() => format!("{} or {last}", before.join(", ")),
        _ => all.concat(),
    }
}
