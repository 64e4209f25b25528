//! Ordinary HTTP, and what lives on it.

use std::time::Duration;

use crate::http::{Settings, SocketIo};

use super::ConfigError;
use super::meaning::Said;
use super::units::{Refusal, size, timeout};

/// The largest payload that may be allowed, in bytes: so much is held of a request while it comes.
const PAYLOAD_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Reads whether HTTP is answered, and how.
pub(super) fn http(say: &Said<'_>) -> Result<Option<Settings>, ConfigError> {
    let is_off = |option| Ok::<_, ConfigError>(say.switch(option)?.unwrap_or(false));
    let socket_io = SocketIo {
        path: say.required("socket-io-path").read(path)?,
        ping_interval: say.required("socket-io-ping-interval").read(time)?,
        ping_timeout: say.required("socket-io-ping-timeout").read(time)?,
        max_payload: say.required("socket-io-max-payload").read(payload)?,
        connect_timeout: say.required("socket-io-connect-timeout").read(time)?,
        ..SocketIo::default()
    };
    let (no_behaviours, no_socket_io) = (is_off("no-behaviours")?, is_off("no-socket-io")?);
    let defaults = Settings::default();
    let settings = Settings {
        behaviours: defaults.behaviours.filter(|_| !no_behaviours),
        socket_io: (!no_socket_io).then_some(socket_io),
        ..defaults
    };
    Ok((!is_off("no-http")?).then_some(settings))
}

/// A path of a URI (RFC 3986, section 3.3); a slash at its end is its client's habit.
fn path(text: &str) -> Result<String, Refusal> {
    const REMEDY: &str = "write a path such as /socket.io/, of letters, digits, and any of -._~/";
    let path = text.strip_suffix('/').unwrap_or(text);
    let is_path = |path: &str| {
        let is_right = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
        path.starts_with('/') && path.bytes().all(is_right) && !path.contains("//")
    };
    match path {
        "" | "/" => Err(Refusal::new(
            "is the path of the echo and of the page",
            REMEDY,
        )),
        "/x" | "/http" | "/sse" | "/healthz" | "/readyz" | "/engine.io" => {
            Err(Refusal::new("is taken", REMEDY))
        }
        _ if path.starts_with("/x/") => Err(Refusal::new("is below /x, which is taken", REMEDY)),
        _ if is_path(path) => Ok(path.to_owned()),
        _ => Err(Refusal::new("is no path", REMEDY)),
    }
}

fn time(text: &str) -> Result<Duration, Refusal> {
    match timeout(text)? {
        Duration::ZERO => Err(Refusal::new(
            "leaves no time to answer",
            "write one such as 20s",
        )),
        time => Ok(time),
    }
}

fn payload(text: &str) -> Result<u64, Refusal> {
    match size(text)? {
        0 => Err(Refusal::new(
            "leaves no message",
            "write a size such as 1MB",
        )),
        bytes if bytes > PAYLOAD_BYTES_MAX => {
            Err(Refusal::new("is too large", "write at most 16MiB"))
        }
        bytes => Ok(bytes),
    }
}
