//! What the two ends agreed on: the `Sec-WebSocket-Extensions` of the server's answer (RFC 7692, 7.1).

use super::Sender;

/// How messages may be written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Extensions {
    /// As they are.
    #[default]
    None,
    /// `permessage-deflate`. With what each end refers back to.
    Deflate {
        /// What the server's messages refer to.
        server: Context,
        /// What the client's messages refer to.
        client: Context,
    },
    /// In a way that nobody here knows: the handshake was not seen, or agreed on something else.
    Unknown,
}

/// What a deflated message may refer to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Context {
    /// Messages before it: one that is missing makes all that follow unreadable.
    Connection,
    /// Itself.
    Message,
}

impl Extensions {
    /// Reads the head of the answer that agreed to the upgrade.
    #[must_use]
    pub fn agreed(headers: &[(String, String)]) -> Extensions {
        let values = headers.iter().filter(|(name, _)| name == "sec-websocket-extensions");
        let mut extensions = values.flat_map(|(_, value)| value.split(',')).filter(|value| !value.trim().is_empty());
        match (extensions.next(), extensions.next()) {
            (None, _) => Extensions::None,
            (Some(only), None) => deflate(only),
            (Some(_), Some(_)) => Extensions::Unknown,
        }
    }

    pub(super) fn context(self, sender: Sender) -> Option<Context> {
        match (self, sender) {
            (Extensions::Deflate { server, .. }, Sender::Server) => Some(server),
            (Extensions::Deflate { client, .. }, Sender::Client) => Some(client),
            (Extensions::None | Extensions::Unknown, _) => None,
        }
    }
}

/// The window's size does not matter to who has the largest: `*_max_window_bits` is passed over.
fn deflate(extension: &str) -> Extensions {
    let mut words = extension.split(';').map(|word| word.split('=').next().unwrap_or_default().trim());
    if !words.next().is_some_and(|name| name.eq_ignore_ascii_case("permessage-deflate")) {
        return Extensions::Unknown;
    }
    let (mut server, mut client) = (Context::Connection, Context::Connection);
    for word in words {
        match word {
            "server_no_context_takeover" => server = Context::Message,
            "client_no_context_takeover" => client = Context::Message,
            "server_max_window_bits" | "client_max_window_bits" => {}
            _ => return Extensions::Unknown,
        }
    }
    Extensions::Deflate { server, client }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_agreed_on() {
        let deflate = |server, client| Extensions::Deflate { server, client };
        let (connection, message) = (Context::Connection, Context::Message);
        for (value, expected) in [
            ("", Extensions::None),
            ("permessage-deflate", deflate(connection, connection)),
            ("permessage-deflate; server_no_context_takeover", deflate(message, connection)),
            ("Permessage-Deflate;client_no_context_takeover ; server_max_window_bits=10", deflate(connection, message)),
            ("permessage-deflate; client_max_window_bits=\"15\"", deflate(connection, connection)),
            ("permessage-deflate; tomorrow", Extensions::Unknown),
            ("x-webkit-deflate-frame", Extensions::Unknown),
            ("permessage-deflate, x-checksum", Extensions::Unknown),
        ] {
            let headers = [
                ("upgrade".to_owned(), "websocket".to_owned()),
                ("sec-websocket-extensions".to_owned(), value.to_owned()),
            ];
            assert_eq!(Extensions::agreed(&headers), expected, "{value}");
        }
        assert_eq!(Extensions::agreed(&[]), Extensions::None);
    }
}
