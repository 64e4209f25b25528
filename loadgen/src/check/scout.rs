//! Looks at a server before it is put to the test: is it there, does it echo, what are its manners?

use std::time::{Duration, Instant};

use super::head::{Head, KEY};
use super::peer::{Ground, Incoming, Peer};
use super::reader::{Event, Message};
use super::verdict::Finding;
use super::wire::{TEXT, text};
use crate::check::options::CheckOptions;
use crate::link::{client_config, server_name};
use crate::target::{Target, resolve};
use crate::usage::UsageError;

/// How long a server has to say something unasked.
const GREETING_TIME: Duration = Duration::from_millis(300);

/// What cases have to know about the server, and its name if it has one. An error of usage if it cannot
/// be reached, or does not echo.
pub(super) fn look(
    target: &Target,
    options: &CheckOptions,
) -> anyhow::Result<(Ground, Option<String>)> {
    let tls = if target.tls {
        let config = client_config(&options.tls, &["http/1.1"])?;
        Some((config, server_name(&target.host)?))
    } else {
        None
    };
    let unusable = |why: &str| UsageError(format!("{}: {why}", target.url));
    let addresses = resolve(&target.host, target.port)
        .map_err(|error| unusable(&format!("resolving the host: {error}")))?;
    let mut refused = Finding::Broken("the host has no address".to_owned());
    for address in addresses {
        let mut ground = Ground {
            target: target.clone(),
            address,
            tls: tls.clone(),
            timeout: options.timeout,
            greetings: 0,
            deflate: false,
            patience: options.patience,
            pid: options.pid,
        };
        match Peer::connect(&ground) {
            Err(finding) => refused = finding,
            Ok(peer) => {
                let (greetings, deflate, server) =
                    manners(peer).map_err(|finding| unusable(finding.words()))?;
                ground.greetings = greetings;
                ground.deflate = deflate;
                return Ok((ground, server));
            }
        }
    }
    Err(unusable(refused.words()).into())
}

/// How many messages come unasked, whether deflate is agreed to, and the server's name.
fn manners(mut peer: Peer<'_>) -> Result<(usize, bool, Option<String>), Finding> {
    let ground = peer.ground();
    peer.upgrade()?;
    let deadline = Instant::now() + GREETING_TIME;
    let mut greetings = 0;
    loop {
        match peer.event_until(deadline)? {
            Incoming::Came(Event::Message(_)) => greetings += 1,
            Incoming::Came(Event::Ping(_) | Event::Pong(_)) => {}
            Incoming::Silence => break,
            other => {
                return Err(Finding::Broken(format!(
                    "after an ordinary upgrade came {other:?}"
                )));
            }
        }
    }
    let hello = text("Hello");
    peer.send(&hello.bytes());
    peer.echo(&Message {
        opcode: TEXT,
        payload: hello.payload,
    })
    .map_err(|finding| Finding::Broken(format!("this is no echo server: {}", finding.words())))?;

    let mut peer = Peer::connect(ground)?;
    let head =
        Head::ordinary(&ground.target).with("Sec-WebSocket-Extensions", "permessage-deflate");
    peer.send(&head.bytes());
    let Incoming::Came(response) = peer.response()? else {
        return Ok((greetings, false, None));
    };
    let deflate = response.status == 101
        && response.check_upgrade(KEY).is_ok()
        && response
            .list("sec-websocket-extensions")
            .any(|value| value.starts_with("permessage-deflate"));
    let server = response.all("server").next().map(str::to_owned);
    Ok((greetings, deflate, server))
}
