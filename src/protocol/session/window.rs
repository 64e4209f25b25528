//! The reply as it grows over the request.

use std::ops::Range;

use ringback_mask::unmask_within;

use crate::memory::slab::SlabPool;
use crate::protocol::frame::{SHORT_HEADER_BYTES, ServerHeader, ShortMessage};
use crate::protocol::reply::Piece;

/// Lent bytes, read from the left and written over further left.
///
/// ```text
/// lent   | already read ................................ | unread ...... |
///            | start ... reply ... end |                 | at
/// ```
///
/// `end <= at` always: the reply is written only where the request has been read. A header that finds no
/// place there goes into `Reply::before`.
pub(super) struct Window<'a> {
    lent: &'a mut [u8],
    start: usize,
    end: usize,
    at: usize,
}

impl<'a> Window<'a> {
    /// Goes on with `reply` over `lent`, whose first `at` bytes are read already.
    pub(super) fn new(lent: &'a mut [u8], reply: Range<usize>, at: usize) -> Self {
        debug_assert!(reply.start <= reply.end && reply.end <= at && at <= lent.len());
        Window {
            lent,
            start: reply.start,
            end: reply.end,
            at,
        }
    }

    /// The bytes that are not read yet.
    #[inline]
    pub(super) fn unread(&self) -> &[u8] {
        &self.lent[self.at..]
    }

    /// How many bytes are not read yet.
    #[inline]
    pub(super) fn unread_len(&self) -> usize {
        self.lent.len() - self.at
    }

    /// Copies `bytes.len()` bytes, the first of them `ahead` of those that are not read yet, and unmasks the copy.
    /// `key` is that of the first unread byte; `ahead` is a multiple of four.
    pub(super) fn copy_unmasked(&self, ahead: usize, bytes: &mut [u8], key: [u8; 4]) {
        debug_assert!(ahead.is_multiple_of(key.len()));
        let source = &self.lent[self.at + ahead..][..bytes.len()];
        ringback_mask::unmask_copy(bytes, source, key);
    }

    /// Reads `count` bytes and answers nothing.
    #[inline]
    pub(super) fn skip(&mut self, count: usize) {
        self.at += count;
    }

    /// Reads `count` bytes, unmasked where they lie, for a use that is not the window.
    #[inline]
    pub(super) fn take(&mut self, count: usize, key: [u8; 4]) -> &mut [u8] {
        let bytes = &mut self.lent[self.at..self.at + count];
        ringback_mask::unmask(bytes, key);
        self.at += count;
        bytes
    }

    /// Reads `count` bytes of payload and unmasks them to where they go if the reply's next frame has
    /// a header of `header_len` bytes. They belong to the reply once [`Window::commit`] has said so.
    ///
    /// The first payload of a reply stays where it is, and its header goes in front of it: nothing moves
    /// as long as there is one frame.
    #[inline]
    pub(super) fn payload(
        &mut self,
        header_len: usize,
        count: usize,
        key: [u8; 4],
    ) -> Range<usize> {
        let source = self.at..self.at + count;
        let target = if self.start == self.end {
            self.at
        } else {
            self.end + header_len
        };
        unmask_within(self.lent, source, target, key);
        self.at += count;
        target..target + count
    }

    /// The bytes of a payload that is not committed yet.
    #[inline]
    pub(super) fn peek(&self, payload: &Range<usize>) -> &[u8] {
        &self.lent[payload.clone()]
    }

    /// Adds a frame to the reply: `header`, then the payload from [`Window::payload`]. Where the header
    /// finds no place in front of it, because it came in an earlier receive, it goes into `before`.
    #[inline]
    pub(super) fn commit(
        &mut self,
        header: &ServerHeader,
        payload: Range<usize>,
        before: &mut Piece,
        slabs: &mut SlabPool,
    ) {
        let header = header.as_slice();
        if self.start < self.end {
            self.lent[self.end..self.end + header.len()].copy_from_slice(header);
        } else if let Some(start) = payload.start.checked_sub(header.len()) {
            self.lent[start..payload.start].copy_from_slice(header);
            self.start = start;
        } else {
            before.append(header, slabs);
            self.start = payload.start;
        }
        self.end = payload.end;
    }

    /// Reads a short message and unmasks its payload to where it goes, as [`Window::payload`] does.
    #[inline]
    pub(super) fn short_payload(&mut self, message: &ShortMessage) -> Range<usize> {
        self.at += SHORT_HEADER_BYTES;
        self.payload(2, usize::from(message.length), message.key)
    }

    /// Adds a short message to the reply. Its header has place, since that of the request was there.
    #[inline]
    pub(super) fn commit_short(&mut self, message: &ShortMessage, payload: Range<usize>) {
        let header = payload.start - 2;
        self.lent[header] = message.first;
        self.lent[header + 1] = message.length;
        if self.start == self.end {
            self.start = header;
        }
        self.end = payload.end;
    }

    /// Adds a payload to the reply whose header has gone before.
    #[inline]
    pub(super) fn commit_bare(&mut self, payload: Range<usize>) {
        if self.start == self.end {
            self.start = payload.start;
        }
        self.end = payload.end;
    }

    /// Where the reply lies.
    pub(super) fn range(&self) -> Range<usize> {
        self.start..self.end
    }
}
