//! A load test as a program: it fails if the server is wrong, or slower than it should be.
//!
//! ```sh
//! cargo run --release -p ringload --example load_test -- ws://127.0.0.1:3000
//! ```

use std::error::Error;
use std::time::Duration;

use ringload::Load;

/// Loads the server at `url` at a fixed rate, and says how it did.
pub(crate) fn load_test(url: &str) -> Result<String, Box<dyn Error>> {
    let document = Load::to(url)
        .connections(8)
        .rate(500)
        .message_size(64)
        .warmup(Duration::from_millis(200))
        .duration(Duration::from_secs(1))
        .fail_if("errors>0")
        .fail_if("p50>1s")
        .run()?;
    if let Some(error) = document.error {
        return Err(error.into());
    }
    let figures = document.figures().ok_or("nothing was measured")?;
    Ok(format!(
        "{:.0} messages/s, p99 {} ns: {}",
        figures.completed_per_second, figures.latency.p99_ns, document.summary
    ))
}

fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::args().nth(1).ok_or("give the URL of a server")?;
    println!("{}", load_test(&url)?);
    Ok(())
}
