//! What is said: the echo of Socket.IO, that of the tutorial, and that of bare Engine.IO.

use std::collections::VecDeque;
use std::sync::Arc;

use axum::http::Extensions;
use bytes::Bytes;
use engineioxide::handler::EngineIoHandler;
use engineioxide::{DisconnectReason, Socket as EngineSocket, Str};
use socketioxide::SocketIo;
use socketioxide::adapter::LocalAdapter;
use socketioxide::extract::{AckSender, SocketRef, TryData};
use socketioxide::handler::{ConnectHandler, FromMessageParts, MessageHandler, Value};
use socketioxide::socket::Socket;

use crate::protocol::Policy;

use super::arguments::{Argument, Arguments};
use super::sessions::Session;

/// The event that is echoed, and that echoes are.
const MESSAGE: &str = "message";

/// The namespaces that may be joined.
const NAMESPACES: [&str; 2] = ["/", "/custom"];

/// What a client is told, as the operator decided.
#[derive(Clone, Debug)]
struct Manner {
    greeting: Option<String>,
    prefix: Option<Arc<str>>,
}

/// Has `io` echo. With a greeting or a prefix it says what the server of a tutorial says, and no more.
pub(super) fn install(io: &SocketIo, policy: &Policy) {
    let manner = Manner {
        greeting: policy.greeting.clone(),
        prefix: policy.prefix.clone(),
    };
    for namespace in NAMESPACES {
        let manner = manner.clone();
        let connect = async move |socket: SocketRef, TryData(auth): TryData<Argument>| {
            greet(&socket, auth.ok().as_ref(), &manner);
        };
        io.ns(namespace, connect.with(check_auth));
    }
}

/// Refuses what is no object, as the protocol's `auth` is.
async fn check_auth(TryData(auth): TryData<Argument>) -> Result<(), &'static str> {
    match auth {
        Ok(Argument::Object(_)) => Ok(()),
        _ => Err("Invalid auth: it must be an object, such as {\"token\":\"abc\"}"),
    }
}

/// Welcomes a client, and answers it from now on.
fn greet(socket: &SocketRef, auth: Option<&Argument>, manner: &Manner) {
    // It is gone already where nothing can be said.
    if let Some(greeting) = &manner.greeting {
        let _ = socket.emit(MESSAGE, greeting);
    } else if manner.prefix.is_none() {
        let _ = socket.emit("auth", &auth);
    }
    socket.on_fallback(Ignore);
    for event in [MESSAGE, "message-with-ack"] {
        let echo = Echo {
            is_message: event == MESSAGE,
            prefix: manner.prefix.clone(),
        };
        socket.on(event, echo);
    }
}

/// Answers an event. It does so at once, and not in a task of its own as the library's handlers, so that answers
/// keep the order of their events.
#[derive(Clone, Debug)]
struct Echo {
    /// Rather than one that is only acknowledged.
    is_message: bool,
    prefix: Option<Arc<str>>,
}

impl MessageHandler<LocalAdapter, Echo> for Echo {
    fn call(&self, socket: Arc<Socket>, mut value: Value, acknowledgement: Option<i64>) {
        end_event(&socket.req_parts().extensions);
        let Ok(sender) = AckSender::from_message_parts(&socket, &mut value, &acknowledgement);
        let arguments = match &value {
            Value::Str(json, attachments) => {
                Arguments::read(json, attachments.as_ref().unwrap_or(&VecDeque::new()))
            }
            Value::Bytes(_) => None,
        };
        if arguments.is_none_or(|arguments| self.answer(&socket, sender, &arguments).is_none()) {
            // It is told that it is out, since it cannot be told what it sent.
            let _ = socket.disconnect();
        }
    }
}

impl Echo {
    /// None where the answer finds no room.
    fn answer(&self, socket: &Socket, sender: AckSender, arguments: &Arguments) -> Option<()> {
        if let Some(prefix) = &self.prefix {
            if self.is_message {
                let text = arguments.0.first().map(Argument::to_text);
                let text = text.as_deref().unwrap_or("undefined");
                socket.emit(MESSAGE, &format!("{prefix}{text}")).ok()?;
            }
            return Some(());
        }
        if self.is_message {
            socket.emit(MESSAGE, arguments).ok()?;
            socket.emit("message-back", arguments).ok()?;
        }
        sender.send(arguments).ok()
    }
}

/// Takes an event that nobody asked for.
#[derive(Clone, Copy, Debug)]
struct Ignore;

impl MessageHandler<LocalAdapter, Ignore> for Ignore {
    fn call(&self, socket: Arc<Socket>, _: Value, _: Option<i64>) {
        end_event(&socket.req_parts().extensions);
    }
}

/// Has the attachments of an event taken off the account of its session, which opened it with these extensions.
fn end_event(extensions: &Extensions) {
    if let Some(session) = extensions.get::<Arc<Session>>() {
        session.charge(|account| account.end_event());
    }
}

/// Echoes what comes over bare Engine.IO.
#[derive(Debug)]
pub(super) struct EngineEcho;

impl EngineIoHandler for EngineEcho {
    type Data = ();

    fn on_connect(self: Arc<Self>, _: Arc<EngineSocket<()>>) {}

    fn on_disconnect(&self, _: Arc<EngineSocket<()>>, _: DisconnectReason) {}

    fn on_message(self: &Arc<Self>, message: Str, socket: Arc<EngineSocket<()>>) {
        if socket.emit(message).is_err() {
            socket.close(DisconnectReason::TransportError);
        }
    }

    fn on_binary(self: &Arc<Self>, message: Bytes, socket: Arc<EngineSocket<()>>) {
        end_event(&socket.req_parts.extensions);
        if socket.emit_binary(message).is_err() {
            socket.close(DisconnectReason::TransportError);
        }
    }
}
