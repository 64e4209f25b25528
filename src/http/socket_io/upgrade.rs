//! An upgrade to a WebSocket, to its end.

use std::sync::Arc;

use axum::http::{Method, Request};
use tokio::time::timeout;
use tower_service::Service;

use crate::http::connection::Shared;
use crate::http::wire::Wire;
use crate::protocol::handshake;

use super::Host;
use super::ask::Ask;
use super::paced::Paced;
use super::sessions::{Session, Sessions};

/// A WebSocket that is open.
struct Opened {
    /// For the library.
    request: Request<()>,
    session: Arc<Session>,
    /// Which session it goes on with, if one that was there.
    upgraded: Option<String>,
}

/// Serves a connection whose unread bytes begin with an upgrade request that [`Host::upgrades`], to its end.
pub(in crate::http) async fn serve(mut wire: Wire, head_len: usize, shared: &Shared) {
    let Some(host) = &shared.socket_io else {
        return;
    };
    let Some(opened) = open(&mut wire, head_len, host, shared).await else {
        wire.reset();
        return;
    };
    let path = opened.request.uri().path().to_owned();
    if opened.upgraded.is_some() {
        opened.session.begin_upgrade();
    }
    let (paced, returned) = Paced::new(
        wire,
        opened.session,
        shared.turns.clone(),
        shared.policy.stall_timeout,
    );
    // It has only to find a task for it: the query is one of ours.
    let _ = if host.is_socket_io(&path) {
        host.socket_io.clone().call((paced, opened.request)).await
    } else {
        host.engine_io.clone().call((paced, opened.request)).await
    };
    let Ok(mut wire) = returned.await else {
        return;
    };
    if let Some(sid) = opened.upgraded {
        // Where the upgrade came to nothing, the library waits for it for good.
        host.close(&path, &sid).await;
    }
    if !host.places.are_scarce() {
        // It is closed either way.
        let _ = timeout(shared.policy.linger_timeout, wire.linger()).await;
    }
}

/// Sends the 101; none where the client is gone, or there is no room since it was asked for.
async fn open(wire: &mut Wire, head_len: usize, host: &Host, shared: &Shared) -> Option<Opened> {
    let head = wire.take(head_len);
    let Ok(handshake::Answer::Elsewhere(accepted)) = handshake::answer(&head, &shared.policy)
    else {
        return None;
    };
    let target = handshake::path_and_query(&head)?;
    let (path, query) = target.split_once('?')?;
    let opened = match host.ask(&Method::GET, path, query, true).ok()? {
        Ask::Upgrade(sid) => Opened {
            request: host.request(path, "websocket", Some(sid), ()),
            session: host.sessions.find(sid)?,
            upgraded: Some(sid.to_owned()),
        },
        Ask::Open => {
            // Its connection has its place.
            let session = Sessions::open(&host.sessions, None)?;
            let mut request = host.request(path, "websocket", None, ());
            request.extensions_mut().insert(session.clone());
            Opened {
                request,
                session,
                upgraded: None,
            }
        }
        Ask::Poll(_) | Ask::Post(_) => return None,
    };
    let mut switching = vec![0; accepted.switching_len()];
    handshake::write_switching(&accepted, &mut switching);
    let written = timeout(shared.policy.stall_timeout, wire.write(&switching)).await;
    matches!(written, Ok(Ok(()))).then_some(opened)
}
