//! Connections that come and go in every way while others talk: slots and descriptors are used again and
//! again, and nobody may see what was another's.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::thread;

use crate::server::Server;
use crate::support::frames::{self, Frame};
use crate::support::request;
use crate::wire::Wire;

const THREADS: u64 = 4;
const VISITS: u64 = 250;

pub(crate) fn visitors_come_and_go(engine: &'static str) {
    visit(&Server::start(engine, &["--workers", "2"]));
}

/// The same with no room to spare in the kernel's hands.
pub(crate) fn visitors_come_and_go_with_few_buffers(engine: &'static str) {
    let few = [
        "--uring-buffers",
        "4",
        "--uring-buffer-size",
        "4KiB",
        "--buffer-memory",
        "1MiB",
    ];
    for incremental in ["auto", "off"] {
        let options = [&few[..], &["--uring-incremental", incremental]].concat();
        visit(&Server::start(engine, &options));
    }
}

fn visit(server: &Server) {
    let mut witness = Wire::upgrade(server);
    thread::scope(|scope| {
        for number in 0..THREADS {
            scope.spawn(move || {
                for visit in 0..VISITS {
                    visit_once(server, number * VISITS + visit);
                }
            });
        }
    });
    witness.assert_echoes("undisturbed");
}

/// One connection, of the kind and with the bytes that belong to `number`.
fn visit_once(server: &Server, number: u64) {
    let dice = frames::noise(4, number + 1);
    let size = usize::from(u16::from_le_bytes([dice[0], dice[1]]));
    let message = Frame::binary(&frames::noise(size, number));
    let echo = Frame {
        key: None,
        ..message.clone()
    }
    .encode();
    match dice[2] % 8 {
        0 => Wire::connect(server).reset(),
        1 => drop(Wire::connect(server)),
        2 => {
            let mut wire = Wire::connect(server);
            wire.send(&request::upgrade()[..20]);
            wire.reset();
        }
        3 => {
            let mut wire = Wire::upgrade(server);
            let stream = message.encode();
            wire.send(&stream[..stream.len() / 2]);
            wire.reset();
        }
        4 => {
            // Leaves without reading what it is owed.
            let mut wire = Wire::upgrade(server);
            wire.send(&message.encode());
            let _ = wire.stream.read(&mut [0; 10]);
        }
        5 => {
            let mut wire = Wire::upgrade(server);
            wire.send(&message.encode());
            let _ = wire.stream.shutdown(Shutdown::Write);
            assert!(wire.read_to_end() == echo, "visitor {number}: another echo");
        }
        6 => {
            let mut wire = Wire::upgrade(server);
            wire.send(&[message.encode(), Frame::close(1000, "").encode()].concat());
            let answer = wire.read_to_end();
            assert!(
                answer == [echo, b"\x88\x02\x03\xe8".to_vec()].concat(),
                "visitor {number}"
            );
        }
        _ => {
            let mut wire = Wire::upgrade(server);
            for piece in message.encode().chunks(1500) {
                wire.stream.write_all(piece).expect("the server takes it");
            }
            assert!(
                wire.read_exact(echo.len()) == echo,
                "visitor {number}: another echo"
            );
        }
    }
}

/// More bytes in flight than the engine has buffers for, many times over.
pub(crate) fn everyone_sends_at_once(engine: &'static str) {
    const CONNECTIONS: u64 = 100;
    const BYTES: usize = 300_000;
    for incremental in ["auto", "off"] {
        let few = ["--uring-buffers", "4", "--uring-buffer-size", "4KiB"];
        let options = [&few[..], &["--uring-incremental", incremental]].concat();
        let server = Server::start(engine, &options);
        let mut wires: Vec<_> = (0..CONNECTIONS).map(|_| Wire::upgrade(&server)).collect();
        let message = |number| Frame::binary(&frames::noise(BYTES, number));
        let sending: Vec<_> = (0..)
            .zip(&wires)
            .map(|(number, wire)| wire.send_aside(message(number).encode()))
            .collect();
        for (number, wire) in (0..).zip(&mut wires) {
            let echo = Frame {
                key: None,
                ..message(number)
            }
            .encode();
            assert!(
                wire.read_exact(echo.len()) == echo,
                "connection {number}: another echo"
            );
        }
        for sender in sending {
            sender.join().expect("all is sent");
        }
    }
}
