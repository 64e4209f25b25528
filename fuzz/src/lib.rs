//! The targets of `tests/fuzzed`, with what the tests have that they need, for the fuzzer.

#[path = "../../tests/behaviour/alike.rs"]
mod alike;
#[path = "../../tests/behaviour/rig.rs"]
mod rig;
#[path = "../../tests/sim/mod.rs"]
mod sim;
#[path = "../../tests/support/mod.rs"]
mod support;
#[path = "../../tests/fuzzed/targets/mod.rs"]
mod targets;

#[global_allocator]
static ALLOCATOR: support::allocations::Counting = support::allocations::Counting;

pub use targets::*;
