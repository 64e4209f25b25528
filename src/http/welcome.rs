//! What there is on this port, in words, as the settings and the policy have it.

use crate::protocol::Policy;
use crate::protocol::handshake::WHAT_THIS_IS;

use super::{Settings, socket_io};

/// The words.
pub(super) struct Welcome {
    /// What becomes of a message, in a sentence.
    pub(super) what: String,
    /// What there is beside the WebSocket: a line for each.
    pub(super) beside: String,
}

impl Welcome {
    pub(super) fn new(settings: &Settings, policy: &Policy) -> Welcome {
        let mut lines = Vec::new();
        if settings.behaviours.is_some() {
            lines.push((
                "/x".to_owned(),
                "WebSockets that behave in other ways than an echo",
            ));
            lines.push((
                "/http, /sse".to_owned(),
                "what was received, as JSON; server-sent events",
            ));
        }
        if let Some(settings) = &settings.socket_io {
            lines.push((format!("{}/", settings.path), "Socket.IO"));
            lines.push((format!("{}/", socket_io::ENGINE_IO_PATH), "bare Engine.IO"));
        }
        lines.push((
            "/healthz, /readyz".to_owned(),
            "whether the server lives; whether it takes connections",
        ));
        let lines = lines.iter();
        Welcome {
            what: what(policy),
            beside: lines
                .map(|(path, is)| format!("  {path:<18} {is}\n"))
                .collect(),
        }
    }
}

fn what(policy: &Policy) -> String {
    let answer = match policy.prefix.as_deref() {
        None if policy.greeting.is_none() => return WHAT_THIS_IS.to_owned(),
        None => "sends back what you send".to_owned(),
        Some(prefix) => format!("answers a message with \"{prefix}\" and the message"),
    };
    match &policy.greeting {
        None => format!("This is a WebSocket endpoint: it {answer}."),
        Some(greeting) => {
            format!("This is a WebSocket endpoint: it greets with \"{greeting}\" and {answer}.")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_there_is_and_nothing_else() {
        let none = Settings {
            behaviours: None,
            socket_io: None,
            ..Settings::default()
        };
        let welcome = Welcome::new(&none, &Policy::default());
        assert_eq!(welcome.what, WHAT_THIS_IS);
        assert_eq!(welcome.beside.lines().count(), 1, "{}", welcome.beside);
        let tutorial = Policy {
            greeting: Some("Hi there".to_owned()),
            prefix: Some("Received: ".into()),
            ..Policy::default()
        };
        let welcome = Welcome::new(&Settings::default(), &tutorial);
        assert!(
            welcome.what.contains("\"Hi there\" and answers"),
            "{}",
            welcome.what
        );
        for path in [
            "  /x ",
            "  /http, /sse ",
            "  /socket.io/ ",
            "  /engine.io/ ",
        ] {
            assert!(welcome.beside.contains(path), "{path}: {}", welcome.beside);
        }
    }
}
