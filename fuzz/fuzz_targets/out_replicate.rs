#![no_main]

use coo_llm_fuzz::{Wire, outbound};

libfuzzer_sys::fuzz_target!(|data: &[u8]| outbound::answer(Wire::Replicate, data));
