//! One request of HTTP, and its answer.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use crate::admin::Address;

/// How long each step may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is read of an answer at most, in bytes.
const ANSWER_BYTES_MAX: u64 = 16 << 20;

/// The body of what is at `path`.
pub(super) fn get(address: &Address, path: &str) -> io::Result<String> {
    match address {
        Address::Tcp(address) => {
            let stream = TcpStream::connect_timeout(address, PATIENCE)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            exchange(stream, path)
        }
        Address::Unix(socket) => {
            let stream = UnixStream::connect(socket)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            exchange(stream, path)
        }
    }
}

fn exchange(mut stream: impl Read + Write, path: &str) -> io::Result<String> {
    // The answer to HTTP/1.0 is not cut into chunks, and ends with the connection.
    let request = format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.take(ANSWER_BYTES_MAX).read_to_string(&mut answer)?;
    body(&answer)
        .map(str::to_owned)
        .ok_or_else(|| io::Error::other("whoever answers there has no such page"))
}

/// The body of a good answer.
fn body(answer: &str) -> Option<&str> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    (head.starts_with("HTTP/1") && head.split(' ').nth(1) == Some("200")).then_some(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_good_answer_has_a_body() {
        assert_eq!(body("HTTP/1.0 200 OK\r\nA: b\r\n\r\nbody"), Some("body"));
        for other in [
            "",
            "HTTP/1.1 404 Not Found\r\n\r\nx",
            "SSH-2.0\r\n\r\n",
            "HTTP/1.1 200 OK\r\n",
        ] {
            assert_eq!(body(other), None, "{other}");
        }
    }
}
