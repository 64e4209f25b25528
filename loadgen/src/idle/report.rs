//! The result of an idle crowd, as JSON and as a table.

use crate::output::document::idle::IdleDocument;
use crate::output::gate;
use crate::output::table::Table;
use crate::quantity::{bytes, grouped};

/// The table.
pub(super) fn table(document: &IdleDocument) -> Table {
    let mut table = Table::default();
    let tls = document.tls.as_ref();
    table.row(
        "connections",
        format!(
            "{} of {} idle for {} s, {}{} over {}",
            grouped(document.connections_opened as u64),
            grouped(document.connections_asked as u64),
            document.hold_seconds,
            tls.map_or(String::new(), |tls| format!("{tls}, ")),
            document.protocol,
            document.address.as_deref().unwrap_or(&document.url)
        ),
    );
    table.row("opened", format!("in {:.2} s", document.opening_seconds));
    for (name, memory) in [
        ("before", document.memory_before),
        ("full", document.memory_full),
        ("after", document.memory_after),
    ] {
        let Some(memory) = memory else {
            table.row(name, "not known: the server had ended");
            continue;
        };
        let resident = bytes(memory.rss_bytes as f64);
        let anonymous = bytes(memory.rss_anonymous_bytes as f64);
        table.row(
            name,
            format!("{resident} resident, {anonymous} of it anonymous"),
        );
    }
    growth_rows(&mut table, document);
    if let Some(tcp) = &document.machine_tcp {
        table.row(
            "machine's TCP",
            format!(
                "{} sockets with {} of data on its way before, {} with {} when full (the whole machine)",
                grouped(tcp.sockets_before),
                bytes(tcp.memory_before_bytes as f64),
                grouped(tcp.sockets_full),
                bytes(tcp.memory_full_bytes as f64)
            ),
        );
    }
    let lost = match document.connections_lost {
        0 => String::new(),
        lost => format!(", {} had ended", grouped(lost as u64)),
    };
    table.row(
        "sample",
        format!("{} connections still echoed{lost}", document.sample_echoed),
    );
    gate::rows(&mut table, &document.gate);
    table
}

fn growth_rows(table: &mut Table, document: &IdleDocument) {
    if let Some(growth) = document.growth {
        let dirty = growth
            .private_dirty_bytes_per_connection
            .map_or(String::new(), |bytes| {
                format!(", private dirty {bytes:.0} B")
            });
        table.row(
            "per connection",
            format!(
                "{:.0} B of the server's resident memory (anonymous {:.0} B{dirty})",
                growth.rss_bytes_per_connection, growth.rss_anonymous_bytes_per_connection
            ),
        );
    }
    if let Some(kept) = document.kept {
        table.row(
            "kept",
            format!(
                "{:.0} B per connection (anonymous {:.0} B), {:.1} s after they had left",
                kept.rss_bytes_per_connection,
                kept.rss_anonymous_bytes_per_connection,
                document.settle_seconds
            ),
        );
    }
}
