//! `/sse`: events that come again and again (HTML, "Server-sent events"), to try what is between with them.

use std::convert::Infallible;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderName, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use futures_util::stream::unfold;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::behaviour::WAIT_MAX;
use crate::behaviour::table::Kind;

use super::exchange::Lasts;
use super::{Phase, drained};

/// The last event that a client has seen, which it says when it comes again.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Has nginx pass events on as they come.
const BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

const EVERY: Kind = Kind::Time {
    min: Duration::from_millis(10),
    max: WAIT_MAX,
};

const N: Kind = Kind::Number { min: 1, max: 1000 };

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Events {
    /// The time from one to the next.
    every: Duration,
    /// The number of the last.
    n: u32,
}

impl Events {
    /// Reads a query.
    ///
    /// # Errors
    /// What is wrong with it, and what would be right.
    fn read(query: &str) -> Result<Events, String> {
        let mut events = Events {
            every: Duration::from_secs(1),
            n: 10,
        };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let wrong =
                |kind: Kind| format!("{name} is to be {kind}, such as /sse?every=1s&n=10\n");
            match name {
                "every" => events.every = EVERY.time(value).ok_or_else(|| wrong(EVERY))?,
                "n" => events.n = N.number(value).ok_or_else(|| wrong(N))?,
                _ => {
                    let text = "There are two things to be asked for here, the time between events and their number: \
                        /sse?every=1s&n=10\n";
                    return Err(text.to_owned());
                }
            }
        }
        Ok(events)
    }
}

/// Sends events: those behind the last one that the client says it has seen.
pub(super) async fn events(
    State(phase): State<watch::Receiver<Phase>>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let Events { every, n } = match Events::read(uri.query().unwrap_or_default()) {
        Ok(events) => events,
        Err(text) => return (StatusCode::BAD_REQUEST, text).into_response(),
    };
    let seen = match headers.get(LAST_EVENT_ID) {
        Some(id) => id.to_str().ok().and_then(|id| id.parse::<u32>().ok()),
        None => Some(0),
    };
    let Some(seen) = seen else {
        let text = "Last-Event-ID is to be the id of an event of this stream, which is a number.\n";
        return (StatusCode::BAD_REQUEST, text).into_response();
    };
    if seen >= n {
        // Otherwise a browser comes again and again for what it has.
        return StatusCode::NO_CONTENT.into_response();
    }
    let began = Instant::now();
    let stream = unfold((seen, phase), move |(sent, mut phase)| async move {
        if sent == n {
            return None;
        }
        tokio::select! {
            biased;
            () = drained(&mut phase) => return None,
            () = sleep_until(began + every * (sent - seen)) => {}
        }
        Some((Ok::<_, Infallible>(event(sent + 1)), (sent + 1, phase)))
    });
    let fields = [(CONTENT_TYPE, "text/event-stream"), (BUFFERING, "no")];
    let mut response = (fields, Body::from_stream(stream)).into_response();
    response.extensions_mut().insert(Lasts(every * (n - seen)));
    response
}

/// An event with this number and the time, in milliseconds since 1970.
fn event(n: u32) -> Bytes {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let time = now.map_or(0, |since| since.as_millis());
    format!("id: {n}\nevent: message\ndata: {{\"n\":{n},\"time\":{time}}}\n\n").into()
}
