//! Who is connected is told by workers that go on serving.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::Value;

use crate::rig::Seen;
use crate::server::until;
use crate::support::frames::Frame;

fn ask(server: &Seen, query: &str) -> Value {
    let answer = server.get(&format!("/connections{query}"));
    assert_eq!(answer.status, 200, "{}", answer.body);
    serde_json::from_str(&answer.body).expect("JSON")
}

fn list(told: &Value) -> &Vec<Value> {
    assert_eq!(told["silent_workers"], 0);
    told["connections"].as_array().expect("a list")
}

fn address(stream: &TcpStream) -> String {
    stream.local_addr().expect("an address").to_string()
}

pub(crate) fn who_keeps_most_and_who_is_slowest_is_told(engine: &'static str) {
    let server = Seen::start(engine, &["--workers", "2", "--socket-buffers", "16KiB"]);
    let quiet: Vec<_> = (0..30).map(|_| server.upgrade()).collect();
    let mut slow = server.upgrade();
    slow.set_nonblocking(true).unwrap();
    let message = Frame::binary(&[1; 16 * 1024]).encode();
    let first = until("it keeps something", || {
        let _ = slow.write(&message);
        let told = ask(&server, "?top=1");
        let first = list(&told)[0].clone();
        (first["behind"] == true && first["kept_bytes"].as_u64() > Some(0)).then_some(first)
    });
    assert_eq!(first["peer"], address(&slow));
    assert_eq!(first["state"], "open");
    assert!(first["received_bytes"].as_u64() > Some(16_384));
    let slowest = ask(&server, "?by=slow&top=3");
    assert_eq!(list(&slowest).len(), 3);
    assert_eq!(list(&slowest)[0]["peer"], address(&slow));
    assert!(list(&slowest)[0]["stalled_seconds"].as_f64().is_some());
    let all = ask(&server, "?top=100");
    assert_eq!(list(&all).len(), 31);
    let mut names: Vec<_> = list(&all)
        .iter()
        .map(|it| it["connection"].clone())
        .collect();
    names.sort_by_key(Value::to_string);
    names.dedup();
    assert_eq!(names.len(), 31, "each has a name of its own");
    assert_eq!(
        ask(&server, "")["connections"].as_array().map(Vec::len),
        Some(20)
    );
    let oldest = ask(&server, "?by=age&top=2");
    let peers: Vec<_> = list(&oldest).iter().map(|it| it["peer"].clone()).collect();
    let old: Vec<_> = quiet.iter().take(12).map(address).collect();
    assert!(
        peers.iter().all(|peer| old.iter().any(|it| peer == it)),
        "{peers:?}"
    );
    assert_eq!(server.get("/connections?top=0").status, 400);
    // Everyone is still served.
    for mut stream in quiet {
        stream.write_all(&Frame::text("x").encode()).unwrap();
        stream.read_exact(&mut [0; 3]).unwrap();
    }
}
