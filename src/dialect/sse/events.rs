//! Whole events of a stream that comes in pieces.

use super::{Event, Part, Splitter, strip_bom};
use crate::dialect::chat::Malformed;

/// The longest event, in bytes. Most have some hundred; an image made by a model, or a document that a provider's own
/// tool found, comes in one of some megabytes.
pub const MAX_EVENT_BYTES: usize = 8 * 1024 * 1024;

/// Gives each event whole, wherever the stream is cut. One that comes in one piece is not copied.
#[derive(Debug, Default)]
pub struct Events {
    splitter: Splitter,
    /// The current event as far as it came, when a piece ended inside it.
    held: Vec<u8>,
    joined: Vec<u8>,
    /// An event, or a byte between events, has come: a byte order mark would stand before.
    after_start: bool,
}

impl Events {
    /// Takes the next bytes and gives the events that they complete to `each`. Blocks without data are no events.
    ///
    /// # Errors
    /// That of `each`, or that an event is too long. Nothing more can be read then.
    pub fn feed(
        &mut self,
        input: &[u8],
        each: &mut dyn FnMut(&Event<'_>) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        let mut rest = input;
        while !rest.is_empty() {
            let (part, len) = self.splitter.next(rest);
            let Some((bytes, after)) = rest.split_at_checked(len) else { return Ok(()) };
            rest = after;
            if matches!(part, Part::Between | Part::LineFeed) {
                self.after_start = true;
                continue;
            }
            if self.held.len() + bytes.len() > MAX_EVENT_BYTES {
                return Err(Malformed("an event is too long"));
            }
            if part == Part::End && self.held.is_empty() {
                self.whole(bytes, each)?;
                continue;
            }
            self.held.extend_from_slice(bytes);
            if part == Part::End {
                self.take_held(each)?;
            }
        }
        Ok(())
    }

    /// Ends the stream: an event without its blank line counts too.
    ///
    /// # Errors
    /// That of `each`.
    pub fn finish(
        &mut self,
        each: &mut dyn FnMut(&Event<'_>) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        if self.held.is_empty() { Ok(()) } else { self.take_held(each) }
    }

    fn take_held(
        &mut self,
        each: &mut dyn FnMut(&Event<'_>) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        let mut held = std::mem::take(&mut self.held);
        let read = self.whole(&held, each);
        // The room is kept for the next event.
        held.clear();
        self.held = held;
        read
    }

    fn whole(
        &mut self,
        block: &[u8],
        each: &mut dyn FnMut(&Event<'_>) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        let at_start = !std::mem::replace(&mut self.after_start, true);
        let block = if at_start { strip_bom(block) } else { block };
        Event::parse(block, self.splitter.lines(), &mut self.joined).map_or(Ok(()), |event| each(&event))
    }
}
