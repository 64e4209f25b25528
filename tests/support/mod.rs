//! What the tests share. Nothing here is written from the server's source: the oracle, the builder of
//! client frames and the reader of server bytes each know RFC 6455 by themselves.
#![allow(dead_code, reason = "each test file uses its own part of this")]

pub(crate) mod allocations;
pub(crate) mod compare;
pub(crate) mod deflated;
pub(crate) mod event;
pub(crate) mod fate;
pub(crate) mod frames;
pub(crate) mod inflate;
#[cfg(not(fuzzing))]
pub(crate) mod npm;
pub(crate) mod offers;
pub(crate) mod oracle;
pub(crate) mod pretend;
pub(crate) mod random;
pub(crate) mod replies;
pub(crate) mod request;
#[cfg(not(fuzzing))]
pub(crate) mod scripts;
#[cfg(not(fuzzing))]
pub(crate) mod server;
pub(crate) mod setting;
pub(crate) mod streams;

/// A case that takes long, as a test of each engine. `scripts/test` leaves all but `uring` to `--full`.
#[allow(unused_macros, reason = "each test file uses its own part of this")]
macro_rules! slow_on_every_engine {
    ($case:ident) => {
        $crate::support::slow_on_every_engine!($case: epoll "epoll", uring "uring", tokio_uring "tokio-uring");
    };
    ($case:ident: $($module:ident $engine:literal),+) => {
        $( mod $module {
            mod slow {
                #[test]
                fn $case() {
                    crate::support::server::on($engine, super::super::$case);
                }
            }
        } )+
    };
}
#[allow(unused_imports, reason = "each test file uses its own part of this")]
pub(crate) use slow_on_every_engine;
