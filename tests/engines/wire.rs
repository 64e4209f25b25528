//! A client that sees every byte: plain sockets, with a limit on every wait.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread;

use socket2::{Domain, Socket, Type};

use crate::server::{PATIENCE, Server};
use crate::support::frames::{self, Frame};
use crate::support::replies::{self, Replies};
use crate::support::request::{self, Response};

/// What a message or a ping is answered with.
pub(crate) fn echo_of(frame: &Frame) -> Vec<u8> {
    let opcode = match frame.opcode {
        frames::PING => frames::PONG,
        opcode => opcode,
    };
    let answer = Frame {
        opcode,
        key: None,
        ..frame.clone()
    };
    answer.encode()
}

/// A connection.
pub(crate) struct Wire {
    pub(crate) stream: TcpStream,
    /// What was read and not looked at.
    ahead: Vec<u8>,
}

impl Wire {
    /// A connection on which nothing was said.
    pub(crate) fn connect(server: &Server) -> Self {
        Self::to(server.address)
    }

    /// The same to whoever is there.
    pub(crate) fn to(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).expect("a connection"))
    }

    /// The same with a receive buffer of about `receive_bytes`, so that it is soon full.
    pub(crate) fn connect_narrow(server: &Server, receive_bytes: usize) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket
            .set_recv_buffer_size(receive_bytes)
            .expect("a buffer size");
        socket
            .connect(&SocketAddr::into(server.address))
            .expect("a connection");
        Self::over(socket.into())
    }

    /// The same with small segments beside, which make the server's send buffer small too: the kernel
    /// sizes it for some full segments.
    pub(crate) fn connect_cramped(server: &Server) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.set_recv_buffer_size(4096).expect("a buffer size");
        socket.set_tcp_mss(536).expect("a segment size");
        socket
            .connect(&SocketAddr::into(server.address))
            .expect("a connection");
        Self::over(socket.into())
    }

    /// The same over a stream that somebody has connected.
    pub(crate) fn over(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream.set_write_timeout(Some(PATIENCE)).expect("a timeout");
        stream.set_nodelay(true).expect("no delay");
        Wire {
            stream,
            ahead: Vec::new(),
        }
    }

    /// A WebSocket connection.
    pub(crate) fn upgrade(server: &Server) -> Self {
        let mut wire = Self::connect(server);
        wire.handshake();
        wire
    }

    /// Does the handshake.
    pub(crate) fn handshake(&mut self) {
        self.send(&request::upgrade());
        self.read_response().assert_switched();
    }

    /// A WebSocket connection that offers compressed messages, to a server that agrees to them.
    pub(crate) fn upgrade_deflating(server: &Server) -> Self {
        let mut wire = Self::connect(server);
        wire.send(&request::with_header(
            "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n",
        ));
        wire.read_response()
            .assert_switched_with(Some("permessage-deflate; client_no_context_takeover"));
        wire
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the server takes it");
    }

    /// Reads a response head; what follows is kept.
    pub(crate) fn read_response(&mut self) -> Response {
        loop {
            if let Some(response) = request::read(&self.ahead) {
                self.ahead.clone_from(&response.rest);
                return response;
            }
            assert!(
                self.read_more() > 0,
                "the end, inside a head: {:?}",
                self.ahead
            );
        }
    }

    /// Asks for `path` as most clients of HTTP do, and reads the answer.
    pub(crate) fn ask(&mut self, method: &str, path: &str) -> Response {
        self.send(format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes());
        self.read_answer(method)
    }

    /// Reads a response to `method` whose body is as long as its head says.
    pub(crate) fn read_answer(&mut self, method: &str) -> Response {
        let mut response = self.read_response();
        let length = response
            .header("content-length")
            .filter(|_| method != "HEAD");
        let length = length.map_or(0, |length| length.parse().expect("a number"));
        response.rest = self.read_exact(length);
        response
    }

    fn read_more(&mut self) -> usize {
        let mut bytes = [0; 65_536];
        let count = self.stream.read(&mut bytes).expect("bytes, or the end");
        self.ahead.extend_from_slice(&bytes[..count]);
        count
    }

    /// Reads exactly `count` bytes.
    pub(crate) fn read_exact(&mut self, count: usize) -> Vec<u8> {
        while self.ahead.len() < count {
            assert!(
                self.read_more() > 0,
                "the end, after {} of {count} bytes",
                self.ahead.len()
            );
        }
        self.ahead.drain(..count).collect()
    }

    /// Reads until what came satisfies `enough`.
    pub(crate) fn read_until(&mut self, enough: impl Fn(&Replies) -> bool) -> Replies {
        loop {
            let replies = replies::read(&self.ahead).expect("strict frames");
            if enough(&replies) {
                return replies;
            }
            assert!(self.read_more() > 0, "the end, after {replies:?}");
        }
    }

    /// Reads to the server's FIN. A reset is a failure.
    pub(crate) fn read_to_end(mut self) -> Vec<u8> {
        let result = self.stream.read_to_end(&mut self.ahead);
        result.unwrap_or_else(|error| panic!("{error} instead of a FIN after {:?}", self.ahead));
        self.ahead
    }

    /// The same, as frames.
    pub(crate) fn replies_to_end(self) -> Replies {
        replies::read(&self.read_to_end()).expect("strict frames")
    }

    /// Sends the FIN, and goes on reading.
    pub(crate) fn finish(&self) {
        self.stream.shutdown(Shutdown::Write).expect("a connection");
    }

    /// Ends it with a reset.
    pub(crate) fn reset(self) {
        let socket = Socket::from(self.stream);
        socket
            .set_linger(Some(std::time::Duration::ZERO))
            .expect("a socket option");
    }

    /// Sends `bytes` while whoever calls goes on; ends when all is sent or the server is gone.
    pub(crate) fn send_aside(&self, bytes: Vec<u8>) -> thread::JoinHandle<()> {
        let mut stream = self.stream.try_clone().expect("a descriptor");
        thread::spawn(move || match stream.write_all(&bytes) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            Err(error) => panic!("{error}"),
        })
    }

    /// Sends one text frame and expects it back.
    pub(crate) fn assert_echoes(&mut self, text: &str) {
        let frame = Frame::text(text);
        self.send(&frame.encode());
        let echo = echo_of(&frame);
        assert_eq!(self.read_exact(echo.len()), echo);
    }
    /// Sends one binary frame, at most as large as the kernel's buffers, and expects it back.
    pub(crate) fn assert_echoes_binary(&mut self, payload: &[u8]) {
        let frame = Frame::binary(payload);
        self.send(&frame.encode());
        let echo = echo_of(&frame);
        assert!(
            self.read_exact(echo.len()) == echo,
            "another echo of {} bytes",
            payload.len()
        );
    }
}
