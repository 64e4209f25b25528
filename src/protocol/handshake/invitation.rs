//! What this is and how to reach it, in words.

use super::request_line;

/// The longest `Host` that is repeated to whoever sent it, in bytes: longer ones are no names.
const HOST_BYTES_MAX: usize = 255;

/// What there is here, in a sentence.
pub const WHAT_THIS_IS: &str = "This is a WebSocket echo endpoint: what you send comes back.";

/// How to reach the endpoint, by the name under which it was reached: the value of a `Host` field; over TLS, if that is
/// how it was.
pub fn invitation(host: Option<&[u8]>, over_tls: bool) -> String {
    invitation_to(host, "", over_tls)
}

/// The same for a path, in which nothing ends a string or means something to a shell that has it in single quotes.
pub fn invitation_to(host: Option<&[u8]>, path: &str, over_tls: bool) -> String {
    let host = host.and_then(harmless_host).unwrap_or("localhost");
    let quote = if path.is_empty() { "" } else { "'" };
    let scheme = if over_tls { "wss" } else { "ws" };
    format!(
        "In a browser: new WebSocket('{scheme}://{host}{path}')\n\
        In a terminal: npx wscat -c {quote}{scheme}://{host}{path}{quote}\n"
    )
}

/// By what name `head`, as far as it came, calls the server: that of a target which is a whole URI, or else the value
/// of `Host` (RFC 9112, section 3.2.2).
pub(super) fn host_of(head: &[u8]) -> Option<&[u8]> {
    if let Some((line, _)) = request_line(head)
        && let Some(authority) = line.authority()
    {
        return Some(authority);
    }
    head.split(|&byte| byte == b'\n').find_map(|line| {
        let (name, value) = line.split_at_checked("host:".len())?;
        name.eq_ignore_ascii_case(b"host:")
            .then(|| value.trim_ascii())
    })
}

/// `host`, the value of a `Host` field, if it is a plain host and port: nothing that could mean something
/// in the text, the page or the shell that it is put into.
fn harmless_host(host: &[u8]) -> Option<&str> {
    let harmless = (1..=HOST_BYTES_MAX).contains(&host.len())
        && host
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b".:-[]".contains(byte));
    std::str::from_utf8(host).ok().filter(|_| harmless)
}

#[cfg(test)]
mod tests {
    use super::super::Refusal;
    use super::super::tests::{head_of, read_response};

    #[test]
    fn invites_by_the_name_it_was_called() {
        let invitation =
            |head: &[u8]| read_response(&Refusal::UpgradeRequired.render(head, None, false)).2;
        for host in ["echo.example:8080", "[::1]:3000", "127.0.0.1"] {
            let text = invitation(&head_of("GET / HTTP/1.1", &[format!("HOST:  {host} ")]));
            assert!(
                text.contains(&format!("new WebSocket('ws://{host}')")),
                "{text}"
            );
            assert!(
                text.contains(&format!("npx wscat -c ws://{host}\n")),
                "{text}"
            );
        }
        let long = "a".repeat(256);
        for host in [
            "",
            "a'b",
            "a;b",
            "a b",
            "$(b)",
            "a_b",
            "<b>",
            "caf\u{e9}",
            "a\rb",
            long.as_str(),
        ] {
            let text = invitation(&head_of("GET / HTTP/1.1", &[format!("Host: {host}")]));
            assert!(
                text.contains("new WebSocket('ws://localhost')"),
                "{host:?}: {text}"
            );
        }
        assert!(invitation(b"").contains("ws://localhost"));
        let over_tls = Refusal::UpgradeRequired.render(b"", None, true);
        assert!(read_response(&over_tls).2.contains("('wss://localhost')"));
        let text = read_response(&Refusal::SocketIo.render(b"", None, false)).2;
        assert!(
            text.contains("not Socket.IO") && text.contains("ws://localhost"),
            "{text}"
        );
    }
}
