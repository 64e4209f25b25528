//! Setting up a ring with the best that this kernel offers.

use std::io;

use io_uring::register::Restriction;
use io_uring::squeue::Flags;
use io_uring::{IoUring, opcode};

use super::super::Feature;
use super::buffers::{Buffers, Layout};
use super::ring;
use crate::engine::UringTuning;
use crate::engine::open_ring::open_ring;

/// Buffers of an incremental ring. They are few, since the kernel walks through all there are, and large,
/// since a buffer's end cuts more messages than the one that meets it: a receive that has found nothing
/// delivers next at most what was left in the buffer then (seen on 6.18).
const INCREMENTAL_LAYOUT: Layout = Layout {
    count: 4,
    bytes: 512 * 1024,
    incremental: true,
};

/// Buffers of a classic ring.
const CLASSIC_LAYOUT: Layout = Layout {
    count: 64,
    bytes: 32 * 1024,
    incremental: false,
};

/// A ring and what it needs. The ring is dropped first: it uses the rest.
pub(super) struct Setup {
    pub(super) ring: IoUring,
    pub(super) buffers: Buffers,
}

/// The registrations that `Ring` makes for itself once the ring is enabled (`io_uring_register(2)`).
const REGISTER_RING_FDS: u8 = 20;
const UNREGISTER_RING_FDS: u8 = 21;

/// Sets up a ring, and restricts it to what the engine uses: whatever was smuggled into its queue, it
/// could do no more than send, receive and accept.
///
/// # Errors
/// What the kernel says where it lacks something that the engine cannot do without, or where a limit is
/// reached.
pub(super) fn set_up(tuning: &UringTuning) -> io::Result<Setup> {
    let ring = open_ring(tuning.entries, ring::build)?;
    let buffers = provide_buffers(tuning, |buffers| buffers.register(&ring.submitter()))?;
    let submitter = ring.submitter();
    submitter.register_restrictions(&mut [
        Restriction::sqe_op(opcode::Accept::CODE),
        Restriction::sqe_op(opcode::Recv::CODE),
        Restriction::sqe_op(opcode::Send::CODE),
        Restriction::sqe_op(opcode::PollAdd::CODE),
        Restriction::sqe_op(opcode::AsyncCancel::CODE),
        Restriction::sqe_flags_allowed((Flags::BUFFER_SELECT | Flags::SKIP_SUCCESS).bits()),
        Restriction::register_op(REGISTER_RING_FDS),
        Restriction::register_op(UNREGISTER_RING_FDS),
    ])?;
    submitter.register_enable_rings()?;
    // A seccomp profile may permit all but this.
    submitter.submit()?;
    Ok(Setup { ring, buffers })
}

/// Incremental buffers where the kernel has them and nobody asked otherwise, classic ones elsewhere.
fn provide_buffers(
    tuning: &UringTuning,
    register: impl Fn(&Buffers) -> io::Result<()>,
) -> io::Result<Buffers> {
    let provide = |layout: Layout| {
        let buffers = allocate(Layout {
            count: tuning.buffers.unwrap_or(layout.count),
            bytes: tuning.buffer_bytes.unwrap_or(layout.bytes),
            ..layout
        })?;
        register(&buffers).map(|()| buffers)
    };
    if tuning.incremental != Some(false)
        && let Ok(buffers) = provide(INCREMENTAL_LAYOUT)
    {
        return Ok(buffers);
    }
    provide(CLASSIC_LAYOUT)
}

/// Want of memory for buffers is not want of locked memory for a ring, though the kernel's word for both is
/// `ENOMEM`.
fn allocate(layout: Layout) -> io::Result<Buffers> {
    Buffers::new(layout).map_err(|error| {
        let said = format!(
            "no memory for {} receive buffers of {} KiB: {error}",
            layout.count,
            layout.bytes / 1024
        );
        io::Error::new(io::ErrorKind::OutOfMemory, said)
    })
}

/// Whether the engine works here, by setting up a ring and entering it, and with which features.
///
/// # Errors
/// What stands in the way.
pub fn probe(tuning: &UringTuning) -> io::Result<Vec<Feature>> {
    let setup = set_up(tuning)?;
    let parameters = setup.ring.params();
    let feature = |name, since, found| Feature {
        name,
        since,
        found,
        wanted: None,
    };
    Ok(vec![
        feature("single issuer, deferred task work", "6.1", true),
        feature("operations restricted to those in use", "5.10", true),
        feature(
            "multishot accept and receive, provided buffer ring",
            "6.0",
            true,
        ),
        feature(
            "receive and send bundles",
            "6.10",
            parameters.is_feature_recvsend_bundle(),
        ),
        Feature {
            wanted: (tuning.incremental == Some(true)).then_some("--uring-incremental"),
            ..feature(
                "incremental provided buffers",
                "6.12",
                setup.buffers.layout().incremental,
            )
        },
        Feature {
            wanted: (!tuning.min_wait.is_zero()).then_some("--uring-min-wait"),
            ..feature(
                "bounded waiting for more completions",
                "6.12",
                parameters.is_feature_min_timeout(),
            )
        },
        feature(
            "idle waits that do not count as waiting for a disk",
            "6.15",
            parameters.is_feature_no_iowait(),
        ),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_without_incremental_buffers_gives_classic_ones() {
        let before_6_12 = |buffers: &Buffers| match buffers.layout().incremental {
            true => Err(io::Error::from_raw_os_error(libc::EINVAL)),
            false => Ok(()),
        };
        for incremental in [None, Some(false), Some(true)] {
            let tuning = UringTuning {
                incremental,
                ..UringTuning::default()
            };
            let buffers = provide_buffers(&tuning, before_6_12).unwrap();
            assert!(!buffers.layout().incremental);
        }
    }
}
