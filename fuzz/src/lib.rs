//! What the fuzz targets do with the bytes that they are given: all that a gateway would do with a request or an answer.
//!
//! Nothing may panic, what is written must be JSON, and a stream must not depend on where it was cut.

pub mod inbound;
pub mod outbound;

pub use coo_llm::dialect::{openai::request::Endpoint, translate::Wire};

use coo_llm::dialect::{chat::Face, json};

/// All that providers speak.
pub const WIRES: [Wire; 7] =
    [Wire::OpenAi, Wire::Claude, Wire::Gemini, Wire::Cohere, Wire::Voyage, Wire::Replicate, Wire::Bedrock];

const FACE: Face<'_> = Face { id: "i", model: "m", created: 1 };

/// A number that depends on all of `data`: what is chosen by it stays the same for the same input. FNV-1a.
fn chosen(data: &[u8], among: usize) -> usize {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in data {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    (hash % among.max(1) as u64) as usize
}

fn must_be_json(out: &[u8]) {
    let read = json::validate(out);
    assert!(read.is_ok(), "{read:?}: {}", String::from_utf8_lossy(out));
}
